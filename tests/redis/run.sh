#!/bin/sh
# Installs a Redis for the tests where there is none, and runs them: the cache's, and those of jobs. Of the packages it takes the one without
# a service of the system: what it checks files with is the server, under another name.
cd "$(dirname "$0")/../.." || exit 1

find_server() {
    command -v redis-server || command -v valkey-server || command -v redis-check-rdb
}

server=$(find_server)
if [ -z "$server" ]; then
    sudo=$([ "$(id -u)" -eq 0 ] || echo sudo)
    timeout 120 $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis-tools \
        >/dev/null 2>&1
    server=$(find_server)
fi
if [ -z "$server" ]; then
    if [ "${CI:-}" = true ]; then
        echo "redis: there is no redis-server, and CI requires these tests"
        echo "redis: 0 passed, 1 failed"
        exit 1
    fi
    echo "redis: SKIPPED, there is no redis-server (apt: redis-tools)"
    exit 0
fi
luajit tests/redis/run.lua "$server" || exit 1
exec luajit tests/jobs/redis.lua "$server"
