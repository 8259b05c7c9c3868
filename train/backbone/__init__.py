"""Pre-training of a backbone on photographs, where ImageNet weights cannot be had."""
