"""Where frames come from offline: folders, data sets, bags and the synthetic renderer."""
