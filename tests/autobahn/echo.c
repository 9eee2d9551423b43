/* echo.c -- a server that says back what it hears on WebSockets: for the Autobahn test suite, which wants one.
 *
 *     echo PORT      serves http/ws_conn.c, and nothing else of the gateway, until it is killed
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/ws_conn.h"
#include "http/ws_handshake.h"
#include "include/perilune.h"

struct echo {
    struct ws_conn *conn;
    enum ws_opcode  kind;
};

static const struct ws_settings *settings(void *ud) {
    static const struct ws_settings s = { .max_message = 64u << 20, .message_ms = 60000 };
    (void)ud;
    return &s;
}

static void message(void *ud, enum ws_opcode kind, struct buf *bytes) {
    struct echo *e = ud;
    struct slice s = buf_get(bytes);
    ws_conn_send(e->conn, kind, &s, 1);
}

static void drained(void *ud) { (void)ud; }
static void drain(void *ud) { (void)ud; }
static void gone(void *ud, int code) {
    (void)code;
    mem_free(ud);
}
static const struct ws_owner owner = { settings, message, drained, drain, gone };

static void on_request(void *ud, struct http_request *r) {
    struct ws_handshake h;
    struct buf lines;
    (void)ud;
    buf_init(&lines, 0);
    ws_handshake(r, &h);
    ws_handshake_lines(&h, &lines);
    struct echo *e = mem_zalloc(sizeof(*e));
    if (h.status != 101 || ws_conn_open(&e->conn, r, buf_get(&lines), &owner, e) != 0) {
        mem_free(e);
        reply_send(r, h.status, buf_get(&lines), slice_str(h.why));
    }
    buf_deinit(&lines);
}

static void on_gone(void *ud, struct http_request *r) { (void)ud, (void)r; }
static void on_refused(void *ud, int status, const char *why, struct buf *out) { (void)ud, (void)status, buf_puts(out, why); }

int main(int argc, char **argv) {
    static struct loop loop;
    static struct http_server server;
    struct log log = { 0 };
    struct http_handler handler = { .request = on_request, .gone = on_gone, .drained = on_gone, .refused = on_refused };
    struct http_limits limits = { .body = 1024, .header_ms = 10000, .body_ms = 10000, .idle_ms = 10000, .send_ms = 60000,
                                  .high_water = 1 << 26, .low_water = 1 << 20, .connections = 100 };
    char address[32], err[200];
    int port;
    snprintf(address, sizeof(address), "127.0.0.1:%s", argc > 1 ? argv[1] : "0");
    signal(SIGPIPE, SIG_IGN);
    if (loop_init(&loop) != 0 || http_server_init(&server, &loop, &log, &handler, &limits) != 0) return 1;
    if (http_server_listen(&server, address, true, NULL, &port, err, sizeof(err)) != 0) {
        fprintf(stderr, "%s\n", err);
        return 1;
    }
    printf("listening on 127.0.0.1:%d\n", port);
    fflush(stdout);
    uv_run(&loop.uv, UV_RUN_DEFAULT);
    return 0;
}
