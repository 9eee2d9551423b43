#!/bin/sh
# Installs a RabbitMQ and its client library for the tests where there are none, and runs them.
cd "$(dirname "$0")/../.." || exit 1

find_server() { ls /usr/lib/rabbitmq/bin/rabbitmq-server 2>/dev/null || command -v rabbitmq-server; }
has_library() { ldconfig -p 2>/dev/null | grep -q 'librabbitmq\.so\.4'; }

server=$(find_server)
if [ -z "$server" ] || ! has_library; then
    sudo=$([ "$(id -u)" -eq 0 ] || echo sudo)
    # Without this the package starts a server of the system.
    timeout 240 $sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y --no-install-recommends \
        rabbitmq-server librabbitmq4 >/dev/null 2>&1
    server=$(find_server)
fi
if [ -z "$server" ] || ! has_library; then
    echo "brokers: SKIPPED, there is no rabbitmq-server or no librabbitmq4 (apt: rabbitmq-server librabbitmq4)"
    exit 0
fi
exec luajit tests/brokers/rabbitmq.lua "$server"
