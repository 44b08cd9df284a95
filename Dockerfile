# A static binary on nothing but certificates: no shell, no git, no libc.
#
#   docker run --read-only -v tallyman:/var/lib/tallyman -v ./etc:/etc/tallyman:ro \
#     -p 8080:8080 -p 127.0.0.1:9090:9090 tallyman

FROM golang:1.26-bookworm AS build
ARG VERSION=dev
WORKDIR /src
# The modules first: they change less often than the code.
COPY go.mod go.sum ./
RUN go mod download && go mod verify
COPY . .
RUN make build VERSION="$VERSION" && mkdir -p /out/var/lib/tallyman

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /src/bin/tallyman /usr/bin/tallyman
# The store's directory belongs to the user, so that a new volume does, too.
COPY --from=build --chown=nonroot:nonroot /out/var/lib/tallyman /var/lib/tallyman
USER nonroot
VOLUME /var/lib/tallyman
EXPOSE 8080 9090
ENTRYPOINT ["/usr/bin/tallyman"]
CMD ["serve", "--config", "/etc/tallyman/tallyman.yaml"]
