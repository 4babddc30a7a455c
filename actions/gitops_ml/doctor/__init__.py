"""What a repository needs so that delivery is as safe as it says, and the fix for each thing that is missing."""
