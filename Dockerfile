# The service in a container, by the steps of the README's section "Serve it":
#
#   docker build -t kshot .
#   docker run --rm -v kshot:/data kshot kshot keys add /data/keys.json NAME
#   docker run -p 8000:8000 -v kshot:/data kshot
#
# The second line prints a key, which is kept nowhere; without one, nobody is let in. Tasks and keys stay in the volume.
#
# TORCH_FLAGS names PyTorch's index of CPU builds, as for make: --build-arg TORCH_FLAGS="--index-url …"

FROM python:3.12-slim AS build
ARG TORCH_FLAGS=""
WORKDIR /source
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY src ./src
RUN python -m venv /kshot \
    && /kshot/bin/pip install --no-cache-dir -c constraints.txt $TORCH_FLAGS torch \
    && /kshot/bin/pip install --no-cache-dir -c constraints.txt '.[web,photos,text]'

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home kshot && install --directory --owner kshot /data
COPY --from=build /kshot /kshot
ENV PATH=/kshot/bin:$PATH KSHOT_CACHE=/data/cache PYTHONUNBUFFERED=1
USER kshot
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as ask; ask.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["kshot", "serve", "--host", "0.0.0.0", "--keys", "/data/keys.json", "--store", "sqlite:////data/tasks.db"]
