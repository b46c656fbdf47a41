# Paceline's image, for compose.yml: the web server, the workers and beat are one program with different commands.
FROM python:3.13-slim

COPY pyproject.toml README.md LICENSE /paceline/
COPY src /paceline/src
COPY examples/attendees.csv /paceline/examples/attendees.csv
RUN pip install --no-cache-dir "/paceline[server,postgres,mysql,scale]" \
 && useradd --create-home --uid 1000 paceline \
 && install --directory --owner paceline --mode 700 /data

ENV DJANGO_SETTINGS_MODULE=paceline.project.settings \
    PACELINE_DATA_DIR=/data \
    PYTHONUNBUFFERED=1
USER paceline
VOLUME /data
EXPOSE 8000
CMD ["paceline", "up", "--host", "0.0.0.0"]
