# syntax=docker/dockerfile:1
# The gateway alone, without a shell, as an unprivileged user:
#
#   docker build --build-arg VERSION=0.1.0 -t tollgate:0.1.0 .
#   docker run --stop-timeout 330 -e STARMAGIC_API_KEY -p 8080:8080 -v tollgate:/data tollgate:0.1.0
#
# Without --stop-timeout, `docker stop` kills it after 10 s: open answers are given 300
# (server.drain_timeout), and their records a little more.

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=bind,source=go.mod,target=go.mod \
    --mount=type=bind,source=go.sum,target=go.sum \
    go mod download
COPY . .
ARG TARGETOS TARGETARCH
ARG VERSION=devel
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/tollgate ./cmd/tollgate
# A volume mounted here for the first time takes over this folder's owner.
RUN install -d -m 0700 /out/root/data

# Static: certificate authorities, time zones, and a user without rights.
FROM gcr.io/distroless/static-debian12:nonroot
ARG VERSION=devel
LABEL org.opencontainers.image.title="Tollgate" \
      org.opencontainers.image.description="A load-balancing reverse proxy for language-model APIs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /out/tollgate /tollgate
COPY --from=build --chown=65532:65532 /out/root/ /
COPY LICENSE /LICENSE
# data_dir is ./data: /data, from here. The admin API is on the container's own loopback,
# where `docker exec ... /tollgate keys create` reaches it.
COPY config.yaml /etc/tollgate/config.yaml
WORKDIR /
# By number: Kubernetes verifies runAsNonRoot with it.
USER 65532:65532
# Not 8081: a port that is published cannot reach the loopback.
EXPOSE 8080
ENTRYPOINT ["/tollgate"]
CMD ["serve", "-c", "/etc/tollgate/config.yaml"]
