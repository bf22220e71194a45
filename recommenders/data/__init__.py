"""What recommenders learn from: ids, interactions, metadata, what users did about actions."""
