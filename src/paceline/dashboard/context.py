"""What every page shows about the installation."""

from django.conf import settings


def environment(request):
    return {}
