# One image for every role: `docker run … replog serve --role secondary`, `… verify /data`.
FROM python:3.12-slim AS build
RUN python -m venv --without-pip /opt/replog
COPY requirements/runtime.txt /tmp/runtime.txt
RUN pip --python /opt/replog/bin/python install --no-cache-dir --disable-pip-version-check \
      --require-hashes -r /tmp/runtime.txt
COPY src/replog /opt/replog/lib/python3.12/site-packages/replog
RUN printf '%s\n' '#!/opt/replog/bin/python' 'from replog.__main__ import main' 'main()' \
      >/opt/replog/bin/replog \
 && chmod +x /opt/replog/bin/replog \
 && /opt/replog/bin/python -m compileall -q /opt/replog/lib/python3.12/site-packages/replog

FROM python:3.12-slim
# A fixed number, so that a volume or a bind mount can be given to it by number. A named volume
# takes the owner of /data when it is first used.
RUN groupadd --gid 10001 replog \
 && useradd --uid 10001 --gid replog --no-create-home --home-dir /data --shell /usr/sbin/nologin replog \
 && install -d -o replog -g replog -m 0750 /data
COPY --from=build /opt/replog /opt/replog
ENV PATH=/opt/replog/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    REPLOG_HOST=0.0.0.0 \
    REPLOG_PORT=8000 \
    REPLOG_DATA_DIR=/data
USER replog
WORKDIR /data
VOLUME /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=15s --retries=3 \
  CMD ["python", "-IS", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['REPLOG_PORT']), timeout=2); c.request('GET', '/livez'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["replog"]
CMD ["serve"]
