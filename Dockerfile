# A static binary and the certificates it needs to trust others: no shell, no
# git, no libc. The root file system may be read-only; the store is a volume.
#
#   docker run --read-only -v tallyman:/var/lib/tallyman -v "$PWD/etc:/etc/tallyman:ro" \
#     -p 8080:8080 -p 127.0.0.1:8081:8081 tallyman:VERSION
#
# For the metrics add -p 127.0.0.1:9090:9090 and, in tallyman.yaml, adminListen: ":9090".

# What builds: it is not part of the image, and can change what is. Its tag moves with each fix of Go and of Debian, so a digest
# written here would be old soon; whoever releases names the one that was looked at:
#   make image GO_IMAGE=golang:1.26-bookworm@sha256:...
ARG GO_IMAGE=golang:1.26-bookworm
FROM ${GO_IMAGE} AS build
ARG VERSION=dev
ARG REVISION=unknown
WORKDIR /src
# The modules first: they change less often than the code.
COPY go.mod go.sum ./
RUN go mod download && go mod verify
COPY . .
RUN make build sbom VERSION="$VERSION" REVISION="$REVISION" && mkdir -p /out/var/lib/tallyman

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /src/bin/tallyman /usr/bin/tallyman
COPY --from=build /src/bin/sbom.json /usr/share/tallyman/sbom.json
# The store's directory belongs to the user, so that a new volume does, too.
COPY --from=build --chown=65532:65532 /out/var/lib/tallyman /var/lib/tallyman
USER 65532:65532
VOLUME /var/lib/tallyman
EXPOSE 8080 8081 9090
ENTRYPOINT ["/usr/bin/tallyman"]
CMD ["serve", "--config", "/etc/tallyman/tallyman.yaml"]
