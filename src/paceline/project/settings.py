"""What does this installation run with? The one place that reads the environment.

Every variable is listed in docs/settings.md. Secrets that are not set are read from the data folder's secrets.env.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from paceline.messaging import databases, secrets

env = environ.Env()

DATA_DIR = Path(env.str("PACELINE_DATA_DIR", default=".paceline")).absolute()
for _name, _value in secrets.read(DATA_DIR).items():
    os.environ.setdefault(_name, _value)

SECRET_KEY = env.str("PACELINE_SECRET_KEY", default="")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "PACELINE_SECRET_KEY is not set and the data folder has no secrets.env. "
        "`paceline up` makes one; for your own process manager, set the variable."
    )
DEBUG = env.bool("PACELINE_DEBUG", default=False)
PUBLIC_URL = env.str("PACELINE_PUBLIC_URL", default="").rstrip("/")
HTTPS = PUBLIC_URL.startswith("https://")
ALLOWED_HOSTS = env.list("PACELINE_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
if PUBLIC_URL:
    ALLOWED_HOSTS.append(PUBLIC_URL.split("://", 1)[-1].split("/")[0].rsplit(":", 1)[0])
    CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "axes",
    "corsheaders",
    "csp",
    "django_htmx",
    "rest_framework",
    "paceline.messaging",
    "paceline.dispatcher",
    "paceline.api",
    "paceline.dashboard",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "paceline.project.urls"
ASGI_APPLICATION = "paceline.project.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "paceline.dashboard.context.environment",
            ],
        },
    },
]

# --- database -------------------------------------------------------------------------------------------------

_database = databases.from_url(
    env.str("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'paceline.sqlite3'}"), "DATABASE_URL"
)
DATABASES = {"default": _database}
if _database["ENGINE"].endswith("sqlite3"):
    # the tests use a real file too: an in-memory database has no WAL and locks tables between threads
    _database["TEST"] = {"NAME": env.str("PACELINE_TEST_SQLITE", default="") or None}
_database["CONN_MAX_AGE"] = env.int("PACELINE_CONN_MAX_AGE", default=600)
SILENCED_SYSTEM_CHECKS = ["models.W037"]  # on MariaDB the indexes of some rows hold all of them
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- what Paceline sends through ------------------------------------------------------------------------------

VONAGE_OPTIONS = {
    "api_key": "VONAGE_API_KEY",
    "api_secret": "VONAGE_API_SECRET",
    "application_id": "VONAGE_APPLICATION_ID",
    "private_key": "VONAGE_PRIVATE_KEY",
    "signature_secret": "VONAGE_SIGNATURE_SECRET",
    "base_url": "VONAGE_BASE_URL",
    "webhook_url": "VONAGE_WEBHOOK_URL",
}


def _providers() -> dict[str, Any]:
    """PACELINE_PROVIDERS as JSON; else the URL in PACELINE_PROVIDER; else Vonage's own variables; else the console."""
    try:
        given = env.json("PACELINE_PROVIDERS", default=None)
    except ValueError as error:
        raise ImproperlyConfigured(f"PACELINE_PROVIDERS is not JSON ({error})") from error
    if given is not None:
        return given
    if url := env.str("PACELINE_PROVIDER", default=""):
        return {"default": {"URL": url}}
    options = {option: env.str(name) for option, name in VONAGE_OPTIONS.items() if env.str(name, default="")}
    if options:
        return {"default": {"BACKEND": "paceline.sms.providers.vonage.Vonage", "OPTIONS": options}}
    return {"default": {"BACKEND": "paceline.sms.providers.local.Console"}}


# --- several workers ------------------------------------------------------------------------------------------

PACELINE_BROKER_URL = env.str("PACELINE_BROKER_URL", default="")
WIRE_LOG = env.str("PACELINE_WIRE_LOG", default="")

PACELINE = {
    "PROVIDERS": _providers(),
    "REGION": env.str("PACELINE_REGION", default="US"),
    "WEBHOOK_URL": f"{PUBLIC_URL}/webhooks" if PUBLIC_URL else "",
    "DATA_DIR": DATA_DIR,
    "SETTLE_SECONDS": env.float("PACELINE_SETTLE_SECONDS", default=900.0),
    "INSTANCE": env.str("PACELINE_INSTANCE", default=""),
    "WIRE_LOG": Path(WIRE_LOG).absolute() if WIRE_LOG else None,
    "OPTOUT_KEY": env.str("PACELINE_OPTOUT_KEY", default=""),
    "STOP_SCOPE": env.str("PACELINE_STOP_SCOPE", default="all"),
    "APPLY_IN_WEBHOOK": False,  # the dispatcher applies reports; a webhook is answered the sooner
    "PROGRAM_NAME": env.str("PACELINE_PROGRAM_NAME", default=""),
    "HELP_CONTACT": env.str("PACELINE_HELP_CONTACT", default=""),
    "MESSAGE_FREQUENCY": env.str("PACELINE_MESSAGE_FREQUENCY", default="Msg frequency varies"),
    "STOP_TEXT": env.str("PACELINE_STOP_TEXT", default=""),
    "START_TEXT": env.str("PACELINE_START_TEXT", default=""),
    "HELP_TEXT": env.str("PACELINE_HELP_TEXT", default=""),
    "ANSWER_KEYWORDS": env.str("PACELINE_ANSWER_KEYWORDS", default="auto"),
    "OFFICE_HOURS": env.str("PACELINE_OFFICE_HOURS", default=""),
    "OFFICE_CLOSED_TEXT": env.str("PACELINE_OFFICE_CLOSED_TEXT", default=""),
    "AUTOMATIC_PER_MINUTE": env.int("PACELINE_AUTOMATIC_PER_MINUTE", default=600),
    "WEBHOOK_SECRET": env.str("PACELINE_WEBHOOK_SECRET", default=""),
}

# --- e-mail, for what rules forward ---------------------------------------------------------------------------

if _email := env.email("PACELINE_EMAIL_URL", default="smtp://localhost:25"):
    vars().update(_email)
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("PACELINE_EMAIL_FROM", default="paceline@localhost")

# --- people and programs that knock ---------------------------------------------------------------------------

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
PASSWORD_RESET_TIMEOUT = 30 * 60  # also the life of a one-time login link
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "campaigns"
LOGOUT_REDIRECT_URL = "login"
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_VERBOSE = False
AXES_LOCKOUT_TEMPLATE = "paceline/locked.html"

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = 12 * 3600
SECURE_HSTS_SECONDS = 365 * 86400 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("PACELINE_BEHIND_PROXY", default=False) else None
)
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
    }
}
CORS_ALLOWED_ORIGINS = env.list("PACELINE_CORS_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/(message/?$|api/)"
CORS_EXPOSE_HEADERS = ["location"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["paceline.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "UNAUTHENTICATED_USER": None,
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 2**20

# --- the rest -------------------------------------------------------------------------------------------------

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": env.str("PACELINE_LOG_LEVEL", default="WARNING")},
    "loggers": {
        "axes": {"level": "ERROR"},
        "django.request": {"level": "ERROR"},  # its warnings quote paths, and a one-time link is a path
    },
}
