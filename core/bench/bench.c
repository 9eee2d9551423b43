/* bench.c -- `perilune bench`: a load tester for servers of language models.
 *
 *      bench.c         the command line
 *      bench_run.c     when requests leave; timeouts; start and end
 *      bench_conn.c    a connection: sends a request, understands the response
 *      bench_proc.c    CPU time and memory of the processes measured
 *      bench_report.c  the results
 *      hist.c          latencies
 *
 * One thread, one loop.  It must stay out of its own picture: the request text is
 * made once and written from where it stands, responses are parsed where they
 * were read, a result is three increments.  What it spends is in the report.
 *
 * A request succeeds when the status is 200 (or another that says so, as 202), the body complete and, as JSON,
 * well-formed; a stream must end with [DONE] and hold no error event.  Exit
 * status: 0, 1 if any request failed or there was none, 2 for wrong usage. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "perilune.h"
#include "cli/args.h"
#include "bench/bench_int.h"
#include "sys/sigpipe.h"

#define DEFAULT_CONCURRENCY 32
#define DEFAULT_SECONDS     10
#define MAX_HEADERS         64

/* Ten thousand streams are ten thousand descriptors. */
static void raise_file_limit(void) {
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0) return;
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
}

/* -- URL ------------------------------------------------------------------------------- */

/* host:port of an authority; a host in brackets is an IPv6 address. */
static bool split_authority(struct slice s, struct bench_options *o) {
    struct slice host = s;
    const char  *colon = NULL;
    if (s.len > 0 && s.ptr[0] == '[') {
        const char *close = memchr(s.ptr, ']', s.len);
        if (close == NULL) return false;
        host = slice_of(s.ptr + 1, (size_t)(close - s.ptr) - 1);
        if (close + 1 < s.ptr + s.len) {
            if (close[1] != ':') return false;
            colon = close + 1;
        }
    } else {
        colon = s.len ? memchr(s.ptr, ':', s.len) : NULL;
        if (colon != NULL) host.len = (size_t)(colon - s.ptr);
    }
    struct slice port = colon ? slice_of(colon + 1, (size_t)(s.ptr + s.len - colon) - 1) : SLICE("80");
    if (host.len == 0 || host.len >= sizeof(o->host) || port.len == 0 || port.len > 5) return false;
    for (size_t i = 0; i < port.len; i++) {
        if (port.ptr[i] < '0' || port.ptr[i] > '9') return false;
    }
    memcpy(o->host, host.ptr, host.len);
    memcpy(o->port, port.ptr, port.len);
    long number = strtol(o->port, NULL, 10);
    return number > 0 && number < 65536;
}

/* "http://host:port/v1" and "http://host:port" mean chat completions there; any
 * longer path is taken as it is. */
static void choose_path(struct bench_options *o, struct slice path) {
    if (o->only_path != NULL) {
        buf_puts(&o->path, o->only_path);
        return;
    }
    while (path.len > 0 && path.ptr[path.len - 1] == '/') path.len--;
    if (path.len == 0) path = SLICE("/v1");
    buf_slice(&o->path, path);
    if (slice_eq(path, SLICE("/v1"))) buf_puts(&o->path, "/chat/completions");
}

static int parse_url(const struct args *a, struct bench_options *o) {
    struct slice url = slice_str(o->url);
    if (slice_starts(url, SLICE("https://"))) {
        return args_fail(a, "https is not supported: measure the http:// listener, or put a TLS "
                         "proxy in front of the server");
    }
    if (slice_starts(url, SLICE("http://"))) url = slice_of(url.ptr + 7, url.len - 7);
    else if (strstr(o->url, "://")) return args_fail(a, "'%s' is no http:// URL", o->url);
    const char  *slash = url.len ? memchr(url.ptr, '/', url.len) : NULL;
    struct slice path = SLICE("");
    if (slash != NULL) {
        path = slice_of(slash, url.len - (size_t)(slash - url.ptr));
        url.len = (size_t)(slash - url.ptr);
    }
    if (!split_authority(url, o)) {
        return args_fail(a, "'%s' is no URL like http://127.0.0.1:8080/v1", o->url);
    }
    choose_path(o, path);
    for (struct slice p = buf_get(&o->path); p.len > 0; p.ptr++, p.len--) {
        if ((unsigned char)*p.ptr <= ' ' || *p.ptr == 127) return args_fail(a, "white space in the path");
    }
    if (buf_len(&o->path) == 0 || buf_get(&o->path).ptr[0] != '/') {
        return args_fail(a, "--path must begin with /");
    }
    return ARGS_OK;
}

/* -- Other values ------------------------------------------------------------------------- */

static int parse_pids(const struct args *a, const char *text, struct bench_options *o) {
    for (const char *p = text; p != NULL && *p != '\0';) {
        char *end;
        long  pid = strtol(p, &end, 10);
        if (end == p || pid <= 0 || pid > 1 << 30 || (*end != ',' && *end != '\0')) {
            return args_fail(a, "--pid wants process ids like 123,456, not '%s'", text);
        }
        if (o->pid_count == BENCH_MAX_PIDS) return args_fail(a, "--pid takes at most 16 processes");
        if (bench_cpu_ns((int)pid) < 0) return args_fail(a, "--pid %ld: no such process", pid);
        o->pids[o->pid_count++] = (int)pid;
        p = *end == ',' ? end + 1 : end;
    }
    return ARGS_OK;
}

static bool is_token(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (s[i] <= ' ' || s[i] >= 127 || strchr("\"(),/:;<=>?@[\\]{}", s[i])) return false;
    }
    return len > 0;
}

static int check_headers(const struct args *a, const struct bench_options *o) {
    for (size_t i = 0; i < o->header_count; i++) {
        const char *h = o->headers[i], *colon = strchr(h, ':');
        if (colon == NULL || !is_token(h, (size_t)(colon - h)) || strpbrk(h, "\r\n")) {
            return args_fail(a, "--header wants 'name: value', not '%s'", h);
        }
        struct slice name = slice_of(h, (size_t)(colon - h));
        if (slice_eq_nocase(name, SLICE("content-length")) ||
            slice_eq_nocase(name, SLICE("transfer-encoding"))) {
            return args_fail(a, "--header %.*s: this program says how long the body is",
                             SLICE_ARG(name));
        }
    }
    return ARGS_OK;
}

static int check(const struct args *a, struct bench_options *o) {
    if (o->rate > 0 && o->concurrency > 0) {
        return args_fail(a, "--rate (open loop) and --concurrency (closed loop) exclude each other");
    }
    if (o->poisson && o->rate == 0) return args_fail(a, "--poisson needs --rate");
    if (o->hold && o->rate > 0) return args_fail(a, "--hold needs --concurrency, not --rate");
    if (o->concurrency == 0) o->concurrency = DEFAULT_CONCURRENCY;
    if (o->hold) {
        o->stream = true;
        o->requests = o->concurrency;
        o->warmup = 0;
        if (o->duration_s == 0) o->duration_s = 1;
    }
    if (o->requests == 0 && o->duration_s == 0) o->duration_s = DEFAULT_SECONDS;
    if (!is_token(o->method, strlen(o->method))) return args_fail(a, "--method '%s' is none", o->method);
    if (o->body_file != NULL && access(o->body_file, R_OK) != 0) {
        return args_fail(a, "--body %s: %s", o->body_file, strerror(errno));
    }
    return check_headers(a, o);
}

/* -- The command ---------------------------------------------------------------------------- */

static int parse_command(struct bench_options *o, int argc, char **argv) {
    struct arg_list headers = { o->headers, 0, MAX_HEADERS };
    const char     *pids = NULL;
    const struct arg table[] = {
        { "rate", 'r', ARG_NUMBER, &o->rate, "R", "open loop: requests per second", 0.001, 1e6 },
        { "poisson", 0, ARG_FLAG, &o->poisson, NULL, "random arrivals instead of even ones", 0, 0 },
        { "concurrency", 'c', ARG_INT, &o->concurrency, "C",
          "closed loop: requests out at a time (default 32)", 1, 1e6 },
        { "requests", 'n', ARG_INT, &o->requests, "N", "stop after N requests", 1, 1e12 },
        { "duration", 'd', ARG_NUMBER, &o->duration_s, "S", "stop after S seconds (default 10)",
          0.001, 1e6 },
        { "warmup", 0, ARG_INT, &o->warmup, "N", "first N requests are not measured", 0, 1e9 },
        { "stream", 's', ARG_FLAG, &o->stream, NULL, "ask for a stream", 0, 0 },
        { "model", 'm', ARG_STRING, &o->model, "NAME", "model to ask for (default sim)", 0, 0 },
        { "prompt-bytes", 0, ARG_INT, &o->prompt_bytes, "N", "length of the prompt", 1, 1e8 },
        { "body", 'b', ARG_STRING, &o->body_file, "FILE",
          "request body; {{n}} becomes the request's number", 0, 0 },
        { "header", 'H', ARG_LIST, &headers, "'K: V'", "add a header (repeatable)", 0, 0 },
        { "method", 'X', ARG_STRING, &o->method, "M", "HTTP method (default POST)", 0, 0 },
        { "path", 0, ARG_STRING, &o->only_path, "PATH", "path instead of the URL's", 0, 0 },
        { "timeout", 't', ARG_NUMBER, &o->timeout_s, "S", "of one request (default 30)", 0.001, 1e6 },
        { "max-connections", 0, ARG_INT, &o->max_connections, "N",
          "open loop: at most N (default 10000)", 1, 1e6 },
        { "slo-ttft-ms", 0, ARG_NUMBER, &o->slo_ttft_ms, "MS", "goodput: first token within MS",
          0.001, 1e9 },
        { "slo-total-ms", 0, ARG_NUMBER, &o->slo_total_ms, "MS", "goodput: whole answer within MS",
          0.001, 1e9 },
        { "pid", 'p', ARG_STRING, &pids, "PID,..", "measure CPU and memory of these processes", 0, 0 },
        { "hold", 0, ARG_FLAG, &o->hold, NULL,
          "open C streams, keep them, report memory per stream", 0, 0 },
        { "seed", 0, ARG_INT, &o->seed, "N", "of the random arrivals (default 1)", 1, 9e15 },
        { "no-validate", 0, ARG_FLAG, &o->no_validate, NULL, "do not check JSON bodies", 0, 0 },
        { "json", 'j', ARG_FLAG, &o->json, NULL, "results as one JSON object", 0, 0 },
        { "progress", 0, ARG_FLAG, &o->progress, NULL, "a line per second on stderr", 0, 0 },
        { NULL, 0, ARG_FLAG, NULL, NULL, NULL, 0, 0 },
    };
    struct args a = {
        .command = "perilune bench",
        .usage = "URL [options]",
        .about = "Loads a server with chat completions and says how it took them. Latencies of an\n"
                 "open loop count from the time a request should have left.",
        .table = table, .words = &o->url, .max_words = 1,
    };
    int rc = args_parse(&a, argc, argv);
    if (rc != ARGS_OK) return rc;
    o->header_count = headers.len;
    if (a.word_count == 0) return args_fail(&a, "which URL? e.g. http://127.0.0.1:8080/v1");
    rc = parse_url(&a, o);
    if (rc == ARGS_OK) rc = check(&a, o);
    return rc == ARGS_OK ? parse_pids(&a, pids, o) : rc;
}

static int run_command(struct bench_options *o) {
    struct bench *b = mem_zalloc(sizeof(*b));
    if (b == NULL) {
        fprintf(stderr, "perilune bench: out of memory\n");
        return 1;
    }
    b->o = o;
    int status = 1;
    if (bench_run(b) == 0) {
        bench_report(b);
        bool all = o->hold ? b->held == (uint64_t)o->concurrency : b->ok > 0;
        status = b->failed == 0 && all ? 0 : 1;
    }
    mem_free(b);
    return status;
}

int perilune_tool_bench(int argc, char **argv) {
    struct bench_options o = {
        .method = "POST", .model = "sim", .timeout_s = 30, .max_connections = 10000, .seed = 1,
        .progress = isatty(STDERR_FILENO) == 1,
    };
    buf_init(&o.path, 0);
    int rc = parse_command(&o, argc, argv);
    if (rc == ARGS_OK) {
        struct sigpipe pipe;
        sigpipe_hold(&pipe);
        raise_file_limit();
        rc = run_command(&o);
        sigpipe_release(&pipe);
    } else {
        rc = args_status(rc);
    }
    buf_deinit(&o.path);
    return rc;
}
