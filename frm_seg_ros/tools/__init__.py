"""What the `frm-seg` commands do, one module a command."""
