"""The door that programs knock on: Django REST framework, and nothing of it anywhere else."""
