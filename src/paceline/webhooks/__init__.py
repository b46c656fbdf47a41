"""The door that providers knock on: verify, keep, commit, 200. What it means is found out afterwards."""
