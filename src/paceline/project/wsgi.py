"""The web server's way in."""

import os

from paceline.project import lifeline

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paceline.project.settings")
lifeline.tie()

from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()
