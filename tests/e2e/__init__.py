"""What a user does on a real cluster of containers: kind, the image, the chart."""
