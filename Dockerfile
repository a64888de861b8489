# syntax=docker/dockerfile:1
# Two stages: build with cgo (SQLite and PKCS#11 are C), run as nobody in particular.
# Pin the base images by digest in your own registry before production.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download && go mod verify
COPY . .
ARG VERSION=container
RUN go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /sealsmith ./cmd/sealsmith

FROM debian:bookworm-slim
# redis-server is used only while SEALSMITH_REDIS is empty; the driver of your token is yours to add.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates redis-server \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home /data --create-home sealsmith
COPY --from=build /sealsmith /usr/local/bin/sealsmith
USER 10001
WORKDIR /data
VOLUME /data
ENV SEALSMITH_DIR=/data SEALSMITH_LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK CMD ["/bin/bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /livez HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '200 OK' <&3"]
ENTRYPOINT ["sealsmith"]
CMD ["serve"]
