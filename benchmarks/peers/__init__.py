"""What Holdfast is measured against, each as its users would run it."""
