"""What every page shows about the installation."""


def environment(request):
    return {}
