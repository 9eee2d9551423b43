/* config.c -- the normalized configuration, from JSON into structs.
 *
 * lua/perilune/config.lua has checked everything and filled in defaults, so this
 * file only copies, and does what Lua must not: read keys from the environment
 * and from files.  All strings live in the configuration's arena. */
#include "gateway/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "bridge/findings.h"
#include "gateway/registry.h"
#include "http/field.h"
#include "llm/prefill.h"
#include "local/engines.h"
#include "sim/sim.h"
#include "store/redis_tls.h"
#include "base/reach.h"

struct reader {
    struct config           *c;
    struct json_doc          doc;
    const struct config_env *env;
    char                    *err;
    size_t                   errlen, said; /* said: bytes of err that are complaints */
    bool                     failed;
};

/* -- Reading ------------------------------------------------------------------------ */

static uint32_t get(struct reader *r, uint32_t object, const char *key) {
    if (object == JSON_NONE || json_type(&r->doc, object) != JSON_OBJECT) return JSON_NONE;
    uint32_t n = json_get(&r->doc, object, slice_str(key));
    return n == JSON_NONE || json_type(&r->doc, n) == JSON_NULL ? JSON_NONE : n;
}

static void *alloc(struct reader *r, size_t size) {
    void *p = arena_alloc(&r->c->arena, size);
    if (p == NULL) r->failed = true;
    else memset(p, 0, size);
    return p;
}

static const char *string_at(struct reader *r, uint32_t n) {
    if (n == JSON_NONE || json_type(&r->doc, n) != JSON_STRING) return NULL;
    struct buf tmp;
    buf_init(&tmp, 0);
    json_decode_string(&r->doc, n, &tmp);
    char *s = buf_failed(&tmp) ? NULL : arena_dup(&r->c->arena, buf_get(&tmp));
    if (s == NULL) r->failed = true;
    buf_deinit(&tmp);
    return s;
}

static const char *string_of(struct reader *r, uint32_t object, const char *key) {
    return string_at(r, get(r, object, key));
}

static uint64_t number_of(struct reader *r, uint32_t object, const char *key) {
    uint32_t n = get(r, object, key);
    double v = n == JSON_NONE || json_type(&r->doc, n) != JSON_NUMBER ? 0 : json_number(&r->doc, n);
    return v > 0 ? (uint64_t)v : 0;
}

static double real_of(struct reader *r, uint32_t object, const char *key, double otherwise) {
    uint32_t n = get(r, object, key);
    return n == JSON_NONE || json_type(&r->doc, n) != JSON_NUMBER ? otherwise : json_number(&r->doc, n);
}

static bool bool_of(struct reader *r, uint32_t object, const char *key) {
    uint32_t n = get(r, object, key);
    return n != JSON_NONE && json_type(&r->doc, n) == JSON_TRUE;
}

/* A list of strings. */
static const char **list_of(struct reader *r, uint32_t object, const char *key, unsigned *count) {
    uint32_t n = get(r, object, key);
    *count = 0;
    if (n == JSON_NONE || json_type(&r->doc, n) != JSON_ARRAY) return NULL;
    const char **out = alloc(r, (r->doc.nodes[n].count + 1) * sizeof(*out));
    for (uint32_t e = json_first(&r->doc, n); out && e != JSON_NONE; e = json_next(&r->doc, n, e))
        if ((out[*count] = string_at(r, e)) != NULL) (*count)++;
    return out;
}

/* What boot.lua noted of this key in "lines" or "columns"; 0: nothing. */
static unsigned noted(struct reader *r, const char *map, struct slice key) {
    uint32_t places = get(r, 0, map), n = JSON_NONE;
    uint64_t number;
    if (places != JSON_NONE && json_type(&r->doc, places) == JSON_OBJECT) n = json_get(&r->doc, places, key);
    return n != JSON_NONE && json_u64(&r->doc, n, &number) == 0 ? (unsigned)number : 0;
}

static void complain(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void complain(struct reader *r, const char *fmt, ...) {
    char text[800];
    r->failed = true;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    const char *colon = strstr(text, ": "); /* behind the key */
    struct slice key = slice_of(text, colon ? (size_t)(colon - text) : 0);
    struct finding f = { .level = PERILUNE_LOG_ERROR, .file = slice_str(r->env->file), .key = key,
                         .line = noted(r, "lines", key), .column = noted(r, "columns", key),
                         .text = slice_str(colon ? colon + 2 : text) };
    if (r->env->findings != NULL) findings_add(r->env->findings, &f);
    char line[24] = "";
    if (f.line > 0) snprintf(line, sizeof(line), ":%u", f.line);
    if (r->said >= r->errlen) return; /* it is full of others */
    const char *end_of_other = r->said ? "\n" : "";
    int k = snprintf(r->err + r->said, r->errlen - r->said, "%s%s%s: %s", end_of_other, r->env->file, line, text);
    r->said += k > 0 ? (size_t)k : 0;
}

/* -- Upstreams ------------------------------------------------------------------------- */

#define KEY_MAX 4096 /* bytes of a key in a file: a token of some provider, not a document */

static const char *key_from_file(struct reader *r, const char *at, const char *path) {
    char text[KEY_MAX];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof(text), f) : 0;
    if (f == NULL || ferror(f)) {
        complain(r, "%s.file: %s: %s", at, path, strerror(errno));
        if (f != NULL) fclose(f);
        return NULL;
    }
    fclose(f);
    if (n == sizeof(text))
        complain(r, "%s.file: %s is too long for a key (%d bytes at most)", at, path, KEY_MAX - 1);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' ')) n--;
    if (n == 0) complain(r, "%s.file: %s is empty", at, path);
    return arena_dup(&r->c->arena, slice_of(text, n));
}

static const char *key_from_environment(struct reader *r, const char *at, const char *variable) {
    const char *v = getenv(variable);
    if (v == NULL || v[0] == '\0')
        complain(r, "%s.env: the environment variable %s is not set", at, variable);
    return v ? arena_dup(&r->c->arena, slice_str(v)) : NULL;
}

/* NULL: it is complained of. */
static const char *secret_of(struct reader *r, const char *at, const char *kind, const char *value) {
    if (value == NULL) complain(r, "%s: no value", at);
    else if (strcmp(kind, "env") == 0) return key_from_environment(r, at, value);
    else if (strcmp(kind, "file") == 0) return key_from_file(r, at, value);
    return value;
}

/* What keeps it from being the value of a header, behind "Bearer"; NULL: nothing. */
static const char *key_problem(const char *key) {
    if (strpbrk(key, " \t") != NULL) return "has a space in it: only the key itself belongs here, without \"Bearer\"";
    return http_field_problem(SLICE("authorization"), slice_str(key));
}

static void read_key(struct reader *r, uint32_t up, struct target *t) {
    uint32_t key = get(r, up, "key");
    const char *kind = string_of(r, key, "kind"), *value = string_of(r, key, "value"), *problem;
    char at[128];
    snprintf(at, sizeof(at), "upstreams.%s.key", t->name);
    if (kind == NULL || strcmp(kind, "none") == 0) return;
    t->key_from_client = strcmp(kind, "client") == 0;
    if (t->key_from_client) return;
    t->key = secret_of(r, at, kind, value);
    if (t->key == NULL) r->failed = true; /* never a call without its key */
    else if ((problem = key_problem(t->key)) != NULL) complain(r, "%s: %s", at, problem);
}

/* headers = { name = value } -> "name: value" lines. */
static void read_headers(struct reader *r, uint32_t up, struct target *t) {
    uint32_t map = get(r, up, "headers");
    if (map == JSON_NONE || json_type(&r->doc, map) != JSON_OBJECT) return;
    t->headers = alloc(r, (r->doc.nodes[map].count + 1) * sizeof(*t->headers));
    for (uint32_t k = json_first(&r->doc, map); t->headers && k != JSON_NONE;) {
        uint32_t v = json_next(&r->doc, map, k);
        struct buf line;
        buf_init(&line, 0);
        json_decode_string(&r->doc, k, &line);
        buf_puts(&line, ": ");
        json_decode_string(&r->doc, v, &line);
        const char *s = arena_dup(&r->c->arena, buf_get(&line));
        if (s == NULL || buf_failed(&line)) r->failed = true;
        else t->headers[t->header_count++] = s;
        buf_deinit(&line);
        k = json_next(&r->doc, map, v);
    }
}

static void check_sim(struct reader *r, const struct target *t, struct slice options) {
    struct sim_options scratch;
    char why[200] = "";
    sim_options_init(&scratch);
    if (sim_options_parse(&scratch, options, why, sizeof(why)) != 0) complain(r, "upstreams.%s.sim: %s", t->name, why);
}

/* sim = { ttft_ms = 20 } -> the header that tells the simulator. */
static void read_sim(struct reader *r, uint32_t sim, struct target *t) {
    int port = r->env->sim_port(r->env->ud, r->err, r->errlen);
    if (port < 0) {
        r->failed = true;
        return;
    }
    struct buf line;
    buf_init(&line, 0);
    buf_puts(&line, "x-sim: ");
    bool first = true;
    for (uint32_t k = json_first(&r->doc, sim); k != JSON_NONE;) {
        uint32_t v = json_next(&r->doc, sim, k);
        if (!first) buf_putc(&line, ',');
        first = false;
        json_decode_string(&r->doc, k, &line);
        buf_putc(&line, '=');
        buf_slice(&line, json_raw(&r->doc, v));
        k = json_next(&r->doc, sim, v);
    }
    struct slice all = buf_get(&line);
    size_t name_len = sizeof("x-sim: ") - 1;
    if (!buf_failed(&line)) check_sim(r, t, slice_of(all.ptr + name_len, all.len - name_len));
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/v1", port);
    t->urls[0] = arena_dup(&r->c->arena, slice_str(url));
    t->url_count = 1;
    t->headers = alloc(r, sizeof(*t->headers));
    const char *s = arena_dup(&r->c->arena, buf_get(&line));
    if (t->headers == NULL || s == NULL || t->urls[0] == NULL || buf_failed(&line)) r->failed = true;
    else t->headers[t->header_count++] = s;
    buf_deinit(&line);
}

static void read_split(struct reader *r, uint32_t engine, struct engine_settings *s) {
    uint32_t n = get(r, engine, "tensor_split");
    if (n == JSON_NONE || json_type(&r->doc, n) != JSON_ARRAY) return;
    for (uint32_t e = json_first(&r->doc, n); e != JSON_NONE && s->split_count < ENGINE_SPLIT;
         e = json_next(&r->doc, n, e))
        s->split[s->split_count++] = (float)json_number(&r->doc, e);
}

/* The model is loaded here, so that a configuration with one that cannot be is refused as a whole. */
static void read_engine(struct reader *r, uint32_t n, struct target *t) {
    struct engine_settings s = { .model = string_of(r, n, "model"), .library = string_of(r, n, "library"),
                                 .template = string_of(r, n, "template"),
                                 .threads = (unsigned)number_of(r, n, "threads"),
                                 .context = (unsigned)number_of(r, n, "context"),
                                 .context_each = (unsigned)number_of(r, n, "context_each"),
                                 .sequences = (unsigned)number_of(r, n, "sequences"),
                                 .batch = (unsigned)number_of(r, n, "batch"),
                                 .waiting = (unsigned)number_of(r, n, "waiting"),
                                 .gpu_layers = (int)real_of(r, n, "gpu_layers", -1),
                                 .process = bool_of(r, n, "process"), .program = string_of(r, n, "program"),
                                 .step_ms = (unsigned)number_of(r, n, "step_timeout_ms"),
                                 .device = string_of(r, n, "device"), .kv_type = string_of(r, n, "kv_type"),
                                 .flash_attention = (int)real_of(r, n, "flash_attention", 0) };
    char why[700];
    uint32_t thinking = get(r, n, "thinking");
    if (json_is(&r->doc, thinking, JSON_TRUE)) t->thinks = TARGET_THINKS;
    if (json_is(&r->doc, thinking, JSON_FALSE)) t->thinks = TARGET_THINKS_NOT;
    read_split(r, n, &s);
    t->engine_model = s.model;
    t->engine_template = s.template;
    if (r->env->engines == NULL || s.model == NULL || r->failed) return;
    r->c->engines = r->env->engines;
    uint64_t loads = engines_loads(r->env->engines);
    if (engines_get(r->env->engines, &s, &t->engine, why, sizeof(why)) != 0) {
        complain(r, "upstreams.%s.engine: %s", t->name, why);
        return;
    }
    const struct chat_style *style = resident_style(t->engine);
    if (t->thinks != TARGET_THINKS_AS_IT_LIKES && (style == NULL || chat_style_traits(style)->think_switch.len == 0))
        complain(r, "upstreams.%s.engine.thinking: the chat template of %s has no such switch", t->name, s.model);
    bool first = engines_loads(r->env->engines) > loads;
    if (first && style != NULL && chat_style_traits(style)->built_in && r->env->notice != NULL) {
        snprintf(why, sizeof(why), "upstreams.%s.engine: %s has no chat template: conversations are written as ChatML; "
                 "name another one with engine.template", t->name, s.model);
        r->env->notice(r->env->ud, why);
    }
    const char *note = resident_facts(t->engine)->note; /* of a model that was there before it has been told */
    if (first && note != NULL && note[0] != '\0' && r->env->notice != NULL) {
        snprintf(why, sizeof(why), "upstreams.%s.engine: %s", t->name, note);
        r->env->notice(r->env->ud, why);
    }
}

static void read_timeouts(struct reader *r, uint32_t up, struct target_timeouts *t) {
    uint32_t n = get(r, up, "timeouts");
    t->connect_ms = number_of(r, n, "connect_ms");
    t->headers_ms = number_of(r, n, "headers_ms");
    t->first_token_ms = number_of(r, n, "first_token_ms");
    t->idle_ms = number_of(r, n, "idle_ms");
    t->total_ms = number_of(r, n, "total_ms");
}

/* The file is read now, and not when the first request needs it. */
static void read_ca(struct reader *r, struct target *t) {
    char why[300];
    if (t->ca == NULL) return;
    if (access(t->ca, R_OK) != 0) complain(r, "upstreams.%s.ca: %s: %s", t->name, t->ca, strerror(errno));
    else if (!t->insecure && tls_context_open_client(&t->tls, t->ca, false, why, sizeof(why)) != 0)
        complain(r, "upstreams.%s.ca: %s", t->name, why);
}

static void read_breaker(struct reader *r, uint32_t n, struct breaker_settings *s) {
    *s = (struct breaker_settings)BREAKER_DEFAULTS;
    if (n == JSON_NONE) return;
    s->failures = (unsigned)number_of(r, n, "failures");
    s->calls = (unsigned)number_of(r, n, "calls");
    s->probes = (unsigned)number_of(r, n, "probes");
    s->share = real_of(r, n, "share", s->share);
    s->open_ms = number_of(r, n, "open_ms");
    s->max_open_ms = number_of(r, n, "max_open_ms");
}

static void read_target(struct reader *r, uint32_t up, struct target *t) {
    t->name = string_of(r, up, "name");
    struct registry_entry *e = t->name ? registry_get(r->env->registry, t->name) : NULL;
    if (e == NULL) {
        r->failed = true;
        return;
    }
    t->health = &e->health;
    atomic_store(&t->health->refused_until_ms, 0); /* who reloads may have another server behind the name */
    unsigned n;
    const char **urls = list_of(r, up, "urls", &n);
    if (n > TARGET_URLS) complain(r, "upstreams.%s.url: more than %d base URLs", t->name, TARGET_URLS);
    for (unsigned i = 0; i < n && i < TARGET_URLS; i++) t->urls[t->url_count++] = urls[i];
    t->model = string_of(r, up, "model");
    t->models = list_of(r, up, "models", &t->model_count);
    t->forward_headers = list_of(r, up, "forward_headers", &t->forward_count);
    t->pass_headers.names = list_of(r, up, "pass_headers", &t->pass_headers.count);
    t->http2 = bool_of(r, up, "http2");
    const char *usage = string_of(r, up, "usage");
    t->prefill = (unsigned char)prefill_named(string_of(r, up, "prefill"));
    t->leave_usage = usage != NULL && strcmp(usage, "leave") == 0;
    t->insecure = bool_of(r, up, "insecure");
    t->proxy = string_of(r, up, "proxy");
    t->ca = string_of(r, up, "ca");
    read_ca(r, t);
    t->max_answer = number_of(r, up, "max_body");
    t->max_event = number_of(r, up, "max_event");
    uint32_t price = get(r, up, "price");
    t->price_in = real_of(r, price, "input", 0);
    t->price_out = real_of(r, price, "output", 0);
    t->price_cached = real_of(r, price, "cached", t->price_in);
    read_timeouts(r, up, &t->timeouts);
    read_breaker(r, get(r, up, "breaker"), &t->breaker);
    read_key(r, up, t);
    read_headers(r, up, t);
    uint32_t sim = get(r, up, "sim");
    if (sim != JSON_NONE) read_sim(r, sim, t);
    uint32_t engine = get(r, up, "engine");
    if (engine != JSON_NONE) read_engine(r, engine, t);
}

/* -- The rest --------------------------------------------------------------------------- */

static void read_route_headers(struct reader *r, uint32_t map, struct route *route) {
    if (map == JSON_NONE || json_type(&r->doc, map) != JSON_OBJECT) return;
    route->headers = alloc(r, (r->doc.nodes[map].count + 1) * sizeof(*route->headers));
    for (uint32_t k = json_first(&r->doc, map), v; route->headers && k != JSON_NONE; k = json_next(&r->doc, map, v)) {
        v = json_next(&r->doc, map, k);
        struct route_header *h = &route->headers[route->header_count++];
        h->name = string_at(r, k);
        h->pattern = string_at(r, v);
        if (h->name == NULL || h->pattern == NULL) r->failed = true;
    }
}

/* Each word behind its length. */
static void put_word(struct buf *out, const char *s) {
    buf_printf(out, "%zu:%s,", s ? strlen(s) : 0, s ? s : "");
}

static const char *identity_of(struct reader *r, const struct route *route) {
    struct buf b;
    buf_init(&b, 0);
    put_word(&b, route->path);
    put_word(&b, route->prefix ? "*" : "");
    put_word(&b, route->host);
    put_word(&b, route->tenant);
    put_word(&b, route->strip);
    for (unsigned i = 0; i < route->method_count; i++) put_word(&b, route->methods[i]);
    for (unsigned i = 0; i < route->header_count; i++) {
        put_word(&b, route->headers[i].name);
        put_word(&b, route->headers[i].pattern);
    }
    const char *text = buf_failed(&b) ? NULL : arena_dup(&r->c->arena, buf_get(&b));
    buf_deinit(&b);
    if (text == NULL) r->failed = true;
    return text;
}

static void read_route(struct reader *r, uint32_t n, struct route *route) {
    char *path = (char *)(uintptr_t)string_of(r, n, "path");
    const char *label = string_of(r, n, "label");
    if (label == NULL) label = string_of(r, n, "path");
    route->label = label ? label : "";
    route->policies = list_of(r, n, "policies", &route->policy_count);
    size_t len = path ? strlen(path) : 0;
    if (len > 0 && path[len - 1] == '*') {
        path[len - 1] = '\0';
        route->prefix = true;
    }
    route->path = path ? path : "";
    route->upstream = string_of(r, n, "upstream");
    route->methods = list_of(r, n, "methods", &route->method_count);
    route->host = string_of(r, n, "host");
    route->tenant = string_of(r, n, "tenant");
    route->strip = string_of(r, n, "strip_prefix");
    read_route_headers(r, get(r, n, "headers"), route);
    route->identity = identity_of(r, route);
}

/* tenants = { header = "authorization", keys = { [SHA-256] = name } } */
static void read_tenants(struct reader *r, uint32_t n) {
    struct tenants *t = &r->c->tenants;
    uint32_t keys = get(r, n, "keys");
    t->header = string_of(r, n, "header");
    if (keys == JSON_NONE || json_type(&r->doc, keys) != JSON_OBJECT) return;
    t->keys = alloc(r, (r->doc.nodes[keys].count + 1) * sizeof(*t->keys));
    for (uint32_t k = json_first(&r->doc, keys), v; t->keys && k != JSON_NONE; k = json_next(&r->doc, keys, v)) {
        v = json_next(&r->doc, keys, k);
        const char *hex = string_at(r, k);
        struct tenant_key *key = &t->keys[t->count++];
        key->name = string_at(r, v);
        if (hex == NULL || key->name == NULL || !tenant_key_parse(hex, key->digest)) r->failed = true;
    }
    if (!r->failed) tenants_sort(t);
}

static void read_limits(struct reader *r) {
    struct config *c = r->c;
    uint32_t n = get(r, 0, "limits");
    c->http = (struct http_limits){ .body = number_of(r, n, "body"),
                                    .header_ms = number_of(r, n, "header_timeout_ms"),
                                    .body_ms = number_of(r, n, "body_timeout_ms"),
                                    .idle_ms = number_of(r, n, "idle_timeout_ms"),
                                    .send_ms = number_of(r, n, "send_timeout_ms"),
                                    .high_water = number_of(r, n, "high_water"),
                                    .low_water = number_of(r, n, "low_water"),
                                    .connections = (unsigned)number_of(r, n, "connections") };
    uint32_t compress = get(r, 0, "compress");
    c->http.compress_min = number_of(r, compress, "min_size");
    c->http.compress_streams = bool_of(r, compress, "streams");
    c->lua = (struct state_limits){ .cpu_us = number_of(r, n, "cpu_ms") * 1000,
                                    .block_us = number_of(r, n, "block_ms") * 1000,
                                    .calls = (unsigned)number_of(r, n, "calls"),
                                    .open_calls = (unsigned)number_of(r, n, "open_calls"),
                                    .fetches = (unsigned)number_of(r, n, "fetches"),
                                    .memory = number_of(r, n, "memory"),
                                    .max_answer = 16u << 20,
                                    .high_water = c->http.high_water };
    for (unsigned i = 0; i < c->target_count; i++)
        if (c->targets[i].max_answer > c->lua.max_answer) c->lua.max_answer = c->targets[i].max_answer;
    c->request_ms = number_of(r, n, "request_timeout_ms");
    c->comment_ms = number_of(r, n, "keepalive_comment_ms");
}

static void read_cors(struct reader *r) {
    struct cors *c = &r->c->cors;
    uint32_t n = get(r, 0, "cors");
    if (n == JSON_NONE || json_type(&r->doc, n) != JSON_OBJECT) return;
    c->origins = list_of(r, n, "origins", &c->origin_count);
    c->headers = string_of(r, n, "headers");
    c->expose = string_of(r, n, "expose");
    c->credentials = bool_of(r, n, "credentials");
    c->max_age = (unsigned)(number_of(r, n, "max_age_ms") / 1000);
    if (c->headers == NULL || c->expose == NULL) r->failed = true;
}

static void read_websocket(struct reader *r, uint32_t n) {
    struct websocket *w = &r->c->websocket;
    if (bool_of(r, n, "on")) w->path = string_of(r, n, "path");
    w->socket = (struct ws_settings){ .max_message = number_of(r, n, "max_message"),
                                      .message_ms = r->c->http.body_ms,
                                      .ping_ms = number_of(r, n, "ping_ms"),
                                      .pong_ms = number_of(r, n, "pong_ms"),
                                      .idle_ms = number_of(r, n, "idle_ms") };
    w->max_requests = (unsigned)number_of(r, n, "max_requests");
    w->headers.names = list_of(r, n, "headers", &w->headers.count);
}

/* An array's elements through fn into an array of structs. */
static void *read_all(struct reader *r, const char *key, size_t size, unsigned *count,
                      void (*fn)(struct reader *, uint32_t, void *)) {
    uint32_t n = get(r, 0, key);
    if (n == JSON_NONE || json_type(&r->doc, n) != JSON_ARRAY) return NULL;
    char *all = alloc(r, (r->doc.nodes[n].count + 1) * size);
    for (uint32_t e = json_first(&r->doc, n); all && e != JSON_NONE; e = json_next(&r->doc, n, e))
        fn(r, e, all + size * (*count)++);
    return all;
}

/* ORDER: enum pick_how; the names are those of config.lua. */
static enum pick_how how_of(const char *name) {
    static const char *const names[] = { "weighted", "least_outstanding", "latency", "price", "sticky", "prefix" };
    for (size_t i = 0; name != NULL && i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(name, names[i]) == 0) return (enum pick_how)i;
    return PICK_WEIGHTED;
}

/* config.lua has seen to it that there is one of this name. */
static unsigned target_at(const struct config *c, const char *name) {
    unsigned i = 0;
    while (name != NULL && i + 1 < c->target_count && strcmp(c->targets[i].name, name) != 0) i++;
    return i;
}

static void read_members(struct reader *r, uint32_t list, struct target_pool *p) {
    if (!json_is(&r->doc, list, JSON_ARRAY)) return;
    p->members = alloc(r, (r->doc.nodes[list].count + 1) * sizeof(*p->members));
    for (uint32_t e = json_first(&r->doc, list); p->members && e != JSON_NONE && p->count < PICK_MOST;
         e = json_next(&r->doc, list, e))
        p->members[p->count++] = (struct target_member){ .target = target_at(r->c, string_of(r, e, "name")),
                                                         .weight = real_of(r, e, "weight", 1),
                                                         .region = string_of(r, e, "region"),
                                                         .spot = bool_of(r, e, "spot") };
}

/* long = { upstreams =, above = }: which members these are. */
static void read_longs(struct reader *r, uint32_t n, struct target_pool *p) {
    uint32_t longs = get(r, n, "long"), list = longs != JSON_NONE ? get(r, longs, "upstreams") : JSON_NONE;
    if (!json_is(&r->doc, list, JSON_ARRAY)) return;
    p->above = number_of(r, longs, "above");
    for (uint32_t e = json_first(&r->doc, list); e != JSON_NONE; e = json_next(&r->doc, list, e))
        for (unsigned i = 0; i < p->count; i++)
            if (json_str_eq(&r->doc, e, slice_str(r->c->targets[p->members[i].target].name)))
                p->longs |= UINT64_C(1) << i;
}

/* A pool stands among the targets, behind those that can be called. */
static void read_pool(struct reader *r, uint32_t n, struct target *t) {
    struct target_pool *p = alloc(r, sizeof(*p));
    t->name = string_of(r, n, "name");
    if (p == NULL || t->name == NULL) return;
    t->models = list_of(r, n, "models", &t->model_count);
    p->how = how_of(string_of(r, n, "choose"));
    p->key = string_of(r, n, "key");
    p->region = string_of(r, n, "region");
    p->retries = (unsigned)number_of(r, n, "retries");
    read_members(r, get(r, n, "upstreams"), p);
    read_longs(r, n, p);
    struct registry_entry *e = registry_get(r->env->registry, t->name);
    p->state = e ? registry_pool(r->env->registry, t->name, p->how == PICK_PREFIX || p->longs != 0) : NULL;
    if (p->state == NULL || p->count == 0) {
        r->failed = true;
        return;
    }
    t->health = &e->health;
    t->breaker = (struct breaker_settings)BREAKER_DEFAULTS;
    t->max_answer = r->c->targets[p->members[0].target].max_answer;
    t->max_event = r->c->targets[p->members[0].target].max_event;
    t->pool = p;
}

static void read_upstreams(struct reader *r) {
    struct config *c = r->c;
    uint32_t ups = get(r, 0, "upstreams"), pools = get(r, 0, "pools");
    size_t count = 1;
    if (json_is(&r->doc, ups, JSON_ARRAY)) count += r->doc.nodes[ups].count;
    if (json_is(&r->doc, pools, JSON_ARRAY)) count += r->doc.nodes[pools].count;
    c->targets = alloc(r, count * sizeof(*c->targets));
    if (c->targets == NULL) return;
    if (json_is(&r->doc, ups, JSON_ARRAY))
        for (uint32_t e = json_first(&r->doc, ups); e != JSON_NONE; e = json_next(&r->doc, ups, e))
            read_target(r, e, &c->targets[c->target_count++]);
    if (r->failed || c->target_count == 0) return; /* a target may have no name */
    if (json_is(&r->doc, pools, JSON_ARRAY))
        for (uint32_t e = json_first(&r->doc, pools); e != JSON_NONE; e = json_next(&r->doc, pools, e))
            read_pool(r, e, &c->targets[c->target_count++]);
}

static void each_route(struct reader *r, uint32_t n, void *out) { read_route(r, n, out); }

static const char *tier_secret(struct reader *r, const char *of, uint32_t node, const char *name) {
    uint32_t n = get(r, node, name);
    const char *kind = string_of(r, n, "kind");
    char at[64];
    snprintf(at, sizeof(at), "cache.%s.%s", of, name);
    return kind == NULL ? NULL : secret_of(r, at, kind, string_of(r, n, "value"));
}

/* ORDER: enum far_index; the names are those of config.lua. */
static enum far_index index_of(const char *name) {
    static const char *const names[] = { "builtin", "redis", "redisearch", "milvus" };
    for (size_t i = 0; name != NULL && i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(name, names[i]) == 0) return (enum far_index)i;
    return FAR_INDEX_NONE;
}

/* It is read again when a connection is made; here it is seen whether that will do. */
static void check_redis_tls(struct reader *r, const char *of, bool tls, const char *ca) {
    struct redis_tls *t = NULL;
    char why[300];
    if (!tls && ca != NULL) complain(r, "%s.ca: is for TLS; begin the url with rediss://", of);
    if (!tls) return;
    if (!redis_tls_is_there())
        complain(r, "%s.url: asks for TLS, which this build cannot speak to Redis: it needs hiredis 1.0 "
                    "or newer with hiredis_ssl when it is built; use redis:// through a tunnel (stunnel)", of);
    else if (redis_tls_new(&t, ca, why, sizeof(why)) != 0)
        complain(r, "%s.ca: %s", of, why);
    redis_tls_free(t);
}

static void read_redis(struct reader *r, uint32_t cache, uint32_t redis) {
    struct far_settings *s = arena_alloc(&r->c->arena, sizeof(*s));
    if (s == NULL) {
        r->failed = true;
        return;
    }
    *s = (struct far_settings){ .host = string_of(r, redis, "host"), .port = (unsigned)number_of(r, redis, "port"),
                                .path = string_of(r, redis, "path"), .tls = bool_of(r, redis, "tls"),
                                .ca = string_of(r, redis, "ca"), .user = string_of(r, redis, "user"),
                                .password = tier_secret(r, "redis", redis, "password"),
                                .db = (unsigned)number_of(r, redis, "db"),
                                .timeout_ms = number_of(r, redis, "timeout_ms"),
                                .prefix = string_of(r, redis, "prefix"),
                                .secret = tier_secret(r, "redis", redis, "secret"),
                                .index = index_of(string_of(r, cache, "index")) };
    check_redis_tls(r, "cache.redis", s->tls, s->ca);
    r->c->far = s;
}

static void read_milvus(struct reader *r, uint32_t milvus) {
    struct milvus_settings *s = arena_alloc(&r->c->arena, sizeof(*s));
    if (s == NULL) {
        r->failed = true;
        return;
    }
    *s = (struct milvus_settings){ .url = string_of(r, milvus, "url"),
                                   .token = tier_secret(r, "milvus", milvus, "token"),
                                   .database = string_of(r, milvus, "database"),
                                   .collection = string_of(r, milvus, "collection"),
                                   .timeout_ms = number_of(r, milvus, "timeout_ms") };
    r->c->milvus = s;
}

/* A disk that is full may have room later; a folder that is not there is a slip of the pen. */
static void check_snapshot(struct reader *r, const char *path) {
    char folder[4096];
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    if (slash == NULL) return;
    snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path) + 1, path);
    if (access(folder, F_OK) != 0)
        complain(r, "cache.snapshot: %s can never be written: %s: %s", path, folder, strerror(errno));
}

static void read_cache(struct reader *r, uint32_t cache) {
    r->c->cache_bytes = number_of(r, cache, "max_bytes");
    r->c->cache_vectors = number_of(r, cache, "max_vectors");
    r->c->cache_snapshot = string_of(r, cache, "snapshot");
    check_snapshot(r, r->c->cache_snapshot);
    uint32_t redis = get(r, cache, "redis");
    if (json_is(&r->doc, redis, JSON_OBJECT)) read_redis(r, cache, redis);
    uint32_t milvus = get(r, cache, "milvus");
    if (json_is(&r->doc, milvus, JSON_OBJECT)) read_milvus(r, milvus);
}

static void read_queues(struct reader *r, uint32_t list, struct jobs_limits *l) {
    unsigned most = json_is(&r->doc, list, JSON_ARRAY) ? r->doc.nodes[list].count : 0;
    struct jobs_queue_limit *queues = alloc(r, (most + 1) * sizeof(*queues));
    if (queues == NULL || most == 0) return;
    for (uint32_t e = json_first(&r->doc, list); e != JSON_NONE; e = json_next(&r->doc, list, e)) {
        struct jobs_queue_limit *q = &queues[l->queue_count];
        *q = (struct jobs_queue_limit){ string_of(r, e, "name"), (unsigned)number_of(r, e, "concurrency") };
        if (q->name != NULL) l->queue_count++;
    }
    l->queues = queues;
}

static void read_secret(struct reader *r, uint32_t n, unsigned i, struct webhook_secrets *out) {
    char at[64];
    snprintf(at, sizeof(at), "jobs.webhooks.secrets[%u]", i + 1);
    const char *kind = string_of(r, n, "kind"), *text = kind ? secret_of(r, at, kind, string_of(r, n, "value")) : NULL;
    if (text == NULL) return; /* complained of */
    if (webhook_secret_read(slice_str(text), &out->items[out->count])) out->count++;
    else complain(r, "%s: is \"whsec_\" and base64 of 24 to 64 random bytes; make one with: "
                     "echo whsec_$(openssl rand -base64 32)", at);
}

static const struct webhook_settings *read_webhooks(struct reader *r, uint32_t hooks) {
    struct webhook_settings *s = json_is(&r->doc, hooks, JSON_OBJECT) ? alloc(r, sizeof(*s)) : NULL;
    unsigned i = 0;
    if (s == NULL) return NULL;
    *s = (struct webhook_settings){ .http = bool_of(r, hooks, "http"), .timeout_ms = number_of(r, hooks, "timeout_ms"),
                                    .result_max = number_of(r, hooks, "max_result") };
    uint32_t list = get(r, hooks, "secrets");
    for (uint32_t e = json_first(&r->doc, list); e != JSON_NONE && i < WEBHOOK_SECRETS; e = json_next(&r->doc, list, e))
        read_secret(r, e, i++, &s->secrets);
    list = get(r, hooks, "retries");
    for (uint32_t e = json_first(&r->doc, list); e != JSON_NONE && s->pause_count < WEBHOOK_PAUSES;
         e = json_next(&r->doc, list, e))
        s->pauses_ms[s->pause_count++] = (uint64_t)(json_number(&r->doc, e) * 1000);
    unsigned count = 0;
    const char **nets = list_of(r, hooks, "allow", &count);
    for (i = 0; i < count && i < REACH_NETS; i++)
        if (!reach_add(&s->reach, slice_str(nets[i])))
            complain(r, "jobs.webhooks.allow[%u]: '%s' is no address, and no net such as \"10.0.0.0/8\"", i + 1,
                     nets[i]);
    return s;
}

#define JOBS_REDIS_MOST (32u << 20) /* bytes of a question: it goes there and back in one piece */

static void read_jobs_redis(struct reader *r, uint32_t redis, struct job_settings *s) {
    struct jobs_redis_place *p = json_is(&r->doc, redis, JSON_OBJECT) ? alloc(r, sizeof(*p)) : NULL;
    if (p == NULL) return;
    uint32_t password = get(r, redis, "password");
    const char *kind = string_of(r, password, "kind");
    *p = (struct jobs_redis_place){
        .host = string_of(r, redis, "host"), .port = (unsigned)number_of(r, redis, "port"),
        .path = string_of(r, redis, "path"), .tls = bool_of(r, redis, "tls"), .ca = string_of(r, redis, "ca"),
        .user = string_of(r, redis, "user"), .db = (unsigned)number_of(r, redis, "db"),
        .password = kind ? secret_of(r, "jobs.redis.password", kind, string_of(r, password, "value")) : NULL,
        .prefix = string_of(r, redis, "prefix") };
    check_redis_tls(r, "jobs.redis", p->tls, p->ca);
    if (s->store.max_body > JOBS_REDIS_MOST) s->store.max_body = JOBS_REDIS_MOST;
    if (s->store.max_result > JOBS_REDIS_MOST) complain(r, "jobs.max_result: may be 32 MiB where jobs are in Redis");
    s->redis = p;
}

/* As many messages at once as jobs may run here: one that waits here cannot be done elsewhere. */
static unsigned most_at_once(const struct job_settings *s, unsigned workers) {
    const struct jobs_limits *l = &s->limits;
    uint64_t room = (uint64_t)s->room * (workers > 0 ? workers : 1), sum = l->concurrency;
    bool unlimited = l->concurrency == 0;
    for (unsigned i = 0; i < l->queue_count; i++) {
        unlimited |= l->queues[i].concurrency == 0;
        sum += l->queues[i].concurrency;
    }
    uint64_t most = unlimited || sum > room ? room : sum;
    return most < 1 ? 1 : most > 4096 ? 4096 : (unsigned)most;
}

static void read_broker(struct reader *r, uint32_t broker, struct job_settings *s) {
    struct courier_settings *p = json_is(&r->doc, broker, JSON_OBJECT) ? alloc(r, sizeof(*p)) : NULL;
    if (p == NULL) return;
    uint32_t password = get(r, broker, "password");
    const char *secret = string_of(r, password, "kind");
    unsigned prefetch = (unsigned)number_of(r, broker, "prefetch");
    size_t largest = s->store.max_body > s->store.max_result ? s->store.max_body : s->store.max_result;
    p->broker = (struct broker_settings){
        .kind = string_of(r, broker, "kind"), .library = string_of(r, broker, "library"),
        .host = string_of(r, broker, "host"), .servers = string_of(r, broker, "servers"),
        .port = (unsigned)number_of(r, broker, "port"), .vhost = string_of(r, broker, "vhost"),
        .tls = bool_of(r, broker, "tls"), .ca = string_of(r, broker, "ca"), .user = string_of(r, broker, "user"),
        .password = secret ? secret_of(r, "jobs.broker.password", secret, string_of(r, password, "value")) : NULL,
        .mechanism = string_of(r, broker, "mechanism"), .work = string_of(r, broker, "work"),
        .results = string_of(r, broker, "results"), .dead = string_of(r, broker, "dead"),
        .group = string_of(r, broker, "group"), .timeout_ms = number_of(r, broker, "timeout_ms"),
        .delivery_limit = (unsigned)number_of(r, broker, "delivery_limit"),
        .work_most = prefetch > 0 ? prefetch : most_at_once(s, r->c->workers), .results_most = 256,
        .max_message = 2 * largest + 65536, /* base64 and what stands around it */
    };
    p->lease_ms = s->lease_ms;
    p->lost_ms = number_of(r, broker, "lost_after_ms");
    p->max_tries = s->max_tries;
    s->broker = p;
}

static void read_jobs(struct reader *r, uint32_t jobs) {
    struct job_settings *s = json_is(&r->doc, jobs, JSON_OBJECT) ? alloc(r, sizeof(*s)) : NULL;
    if (s == NULL) return;
    s->file = string_of(r, jobs, "file");
    jobs_settings_init(&s->store);
    s->store.max_bytes = number_of(r, jobs, "max_bytes");
    s->store.max_result = number_of(r, jobs, "max_result");
    s->store.max_body = r->c->http.body;
    s->store.keep_ms = number_of(r, jobs, "keep_ms");
    s->limits.concurrency = (unsigned)number_of(r, jobs, "concurrency");
    s->limits.tenant_concurrency = (unsigned)number_of(r, jobs, "tenant_concurrency");
    s->limits.max_queued = (unsigned)number_of(r, jobs, "max_queued");
    s->limits.max_kept = (unsigned)number_of(r, jobs, "max_kept");
    read_queues(r, get(r, jobs, "queues"), &s->limits);
    s->lease_ms = number_of(r, jobs, "lease_ms");
    s->timeout_ms = number_of(r, jobs, "timeout_ms");
    s->backoff_ms = number_of(r, jobs, "backoff_ms");
    s->backoff_max_ms = number_of(r, jobs, "max_backoff_ms");
    s->max_tries = (unsigned)number_of(r, jobs, "max_tries");
    s->max_priority = (int)real_of(r, jobs, "max_priority", 0);
    s->max_keep_ms = number_of(r, jobs, "max_keep_ms");
    s->max_delay_ms = number_of(r, jobs, "max_delay_ms");
    s->room = (unsigned)number_of(r, jobs, "worker_concurrency");
    s->headers = list_of(r, jobs, "headers", &s->header_count);
    s->webhooks = read_webhooks(r, get(r, jobs, "webhooks"));
    s->files = (struct file_settings){ .folder = string_of(r, jobs, "files"),
                                       .keep_ms = number_of(r, jobs, "file_keep_ms"),
                                       .most = (unsigned)number_of(r, jobs, "max_files"),
                                       .most_bytes = number_of(r, jobs, "max_file_bytes") };
    s->batch_concurrency = (unsigned)number_of(r, jobs, "batch_concurrency");
    s->batch_lines = (unsigned)number_of(r, jobs, "batch_lines");
    s->batch_window_ms = number_of(r, jobs, "batch_window_ms");
    read_jobs_redis(r, get(r, jobs, "redis"), s);
    read_broker(r, get(r, jobs, "broker"), s);
    r->c->jobs = s;
}

static void read_config(struct reader *r) {
    struct config *c = r->c;
    c->listen = list_of(r, 0, "listen", &c->listen_count);
    c->admin = string_of(r, 0, "admin");
    c->workers = (unsigned)number_of(r, 0, "workers");
    uint32_t tls = get(r, 0, "tls");
    c->tls_cert = string_of(r, tls, "cert");
    c->tls_key = string_of(r, tls, "key");
    read_upstreams(r);
    c->routes = read_all(r, "routes", sizeof(*c->routes), &c->route_count, each_route);
    c->route_index = routes_new(&c->arena, c->routes, c->route_count);
    if (c->route_index == NULL) r->failed = true;
    c->guarded = bool_of(r, 0, "guarded");
    read_tenants(r, get(r, 0, "tenants"));
    read_limits(r);
    read_cors(r);
    read_websocket(r, get(r, 0, "websocket"));
    read_cache(r, get(r, 0, "cache"));
    read_jobs(r, get(r, 0, "jobs"));
    c->drain_ms = number_of(r, 0, "drain_timeout_ms");
    c->watch = bool_of(r, 0, "watch");
    c->reuse_port = bool_of(r, 0, "reuse_port");
    uint32_t log = get(r, 0, "log");
    c->log_access = bool_of(r, log, "access");
    const char *level = string_of(r, log, "level");
    c->log_level = level ? log_level_parse(level) : PERILUNE_LOG_INFO;
}

int config_new(struct config **out, struct slice json, const struct config_env *env, char *err, size_t errlen) {
    *out = NULL;
    struct config *c = mem_zalloc(sizeof(*c));
    struct reader r = { .c = c, .env = env, .err = err, .errlen = errlen };
    snprintf(err, errlen, "%s: out of memory", env->file);
    if (c == NULL) return PERILUNE_ERR_NOMEM;
    atomic_init(&c->refs, 1);
    arena_init(&c->arena);
    if (json_parse(&r.doc, json, &(struct json_error){ 0 }) != 0) r.failed = true;
    else read_config(&r);
    json_deinit(&r.doc);
    if (!r.failed) {
        *out = c;
        return 0;
    }
    config_put(c);
    return PERILUNE_ERR_CONFIG;
}

struct config *config_ref(struct config *c) {
    if (c) atomic_fetch_add(&c->refs, 1);
    return c;
}

void config_put(struct config *c) {
    if (c == NULL || atomic_fetch_sub(&c->refs, 1) != 1) return;
    for (unsigned i = 0; i < c->target_count; i++) {
        tls_context_put(c->targets[i].tls);
        engines_put(c->engines, c->targets[i].engine);
    }
    arena_deinit(&c->arena);
    mem_free(c);
}
