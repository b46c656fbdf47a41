"""The web server's way in."""

import os

from paceline.project import lifeline

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paceline.project.settings")
lifeline.tie()

from django.core.wsgi import get_wsgi_application  # noqa: E402

_django = get_wsgi_application()

from paceline.webhooks.door import hooks_first  # noqa: E402 its imports want Django set up

application = hooks_first(_django)
