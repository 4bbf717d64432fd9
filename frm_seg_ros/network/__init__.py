"""The segmentation network in torch: VAN backbone, feature refinement module, Semantic FPN."""
