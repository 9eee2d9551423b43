/* batch.c -- perilune batch: a file of requests, answered into a file of answers.
 *
 *     FILE.jsonl --> looked through: every line, before anything is paid for
 *                        |  ids                +-- ids that have an answer -- OUT, of an earlier run
 *                        v                     v
 *                    batch_run: what is left, asked --> OUT, a line each
 *
 * Here are the arguments, the look at the file, and what is said at the end; batch_run.c asks, batch_output.c keeps.
 * There is a gateway in this process in both forms: with --url of one upstream, with --config of a configuration, whose
 * routes and policies see the lines as requests like any other; it has no listener. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/args.h"
#include "cli/asking.h"
#include "cli/batch_run.h"
#include "http/token.h"
#include "jobs/batch_survey.h"
#include "sys/loop.h"

#define HEADERS     32
#define FAULTS      20  /* that are told one by one */
#define WARNINGS    10  /* of a configuration's log, that are told */
#define INTERRUPTED 130 /* what shells call it: 128 and SIGINT */
#define ANSWER_MAX  (64u << 20)

struct batching {
    const char *file, *url, *config, *out, *errors, *key_env, *log;
    long        concurrency, tries, timeout_s;
    bool        ordered, strict, again, keep_going, check, json;
    double      price_in, price_out;
    const char *header_words[HEADERS];
    struct arg_list    headers;
    struct http_header lines[HEADERS + 1];
    unsigned    line_count;
    char        out_path[4096], authorization[4096];
    uint64_t    bad, told; /* lines */
    FILE       *log_to;
    unsigned    warned;    /* lines of the log that were told; the log's thread */
};

/* -- Arguments --------------------------------------------------------------------------------------- */

static int read_arguments(struct batching *o, struct args *a, int argc, char **argv) {
    const struct arg table[] = {
        { "url", 'u', ARG_STRING, &o->url, "URL", "the base URL of an upstream (https://.../v1)", 0, 0 },
        { "config", 0, ARG_STRING, &o->config, "FILE", "ask through the routes and policies of it", 0, 0 },
        { "output", 'o', ARG_STRING, &o->out, "OUT", "the answers (default: FILE.out.jsonl)", 0, 0 },
        { "errors", 0, ARG_STRING, &o->errors, "FILE", "lines that failed go here instead of OUT", 0, 0 },
        { "concurrency", 'c', ARG_INT, &o->concurrency, "N", "requests at once (default 32)", 1, 4096 },
        { "key-env", 0, ARG_STRING, &o->key_env, "NAME", "environment variable with the key that is shown", 0, 0 },
        { "header", 'H', ARG_LIST, &o->headers, "'NAME: VALUE'", "a header of each request, with --config", 0, 0 },
        { "tries", 0, ARG_INT, &o->tries, "N", "of a line, with the first one (default 8)", 1, 100 },
        { "timeout", 0, ARG_INT, &o->timeout_s, "SECONDS", "of a try, with --url (default 600)", 1, 86400 },
        { "price-in", 0, ARG_NUMBER, &o->price_in, "USD", "for a million tokens in, with --url", 0, 1e6 },
        { "price-out", 0, ARG_NUMBER, &o->price_out, "USD", "for a million tokens out, with --url", 0, 1e6 },
        { "ordered", 0, ARG_FLAG, &o->ordered, NULL, "answers in the order of the lines", 0, 0 },
        { "strict", 0, ARG_FLAG, &o->strict, NULL, "ask nothing when a line is bad", 0, 0 },
        { "check", 0, ARG_FLAG, &o->check, NULL, "only look at FILE, ask nothing", 0, 0 },
        { "retry-failed", 0, ARG_FLAG, &o->again, NULL, "ask lines again whose answer was a failure", 0, 0 },
        { "keep-going", 0, ARG_FLAG, &o->keep_going, NULL, "do not stop after 100 failures in a row", 0, 0 },
        { "log", 0, ARG_STRING, &o->log, "FILE", "append log lines to this file", 0, 0 },
        { "json", 0, ARG_FLAG, &o->json, NULL, "print the summary as one JSON object", 0, 0 },
        { NULL, 0, ARG_FLAG, NULL, NULL, NULL, 0, 0 },
    };
    a->table = table;
    int rc = args_parse(a, argc, argv);
    if (rc != ARGS_OK) return args_status(rc);
    if (a->word_count == 0) return args_fail(a, "give it a FILE.jsonl, one request a line");
    if (o->url != NULL && o->config != NULL) return args_fail(a, "--url and --config exclude each other");
    if (o->url == NULL && o->config == NULL && !o->check)
        return args_fail(a, "who is asked? --url URL or --config FILE.lua");
    if (o->config != NULL && (o->price_in > 0 || o->price_out > 0 || o->timeout_s > 0))
        return args_fail(a, "--price-in, --price-out and --timeout are for --url; the configuration says them");
    if (o->url != NULL && o->headers.len > 0)
        return args_fail(a, "--header is for --config, whose policies read it; the key of an upstream is --key-env");
    return -1;
}

/* The headers that routes and policies of a configuration see.  False: said why. */
static bool read_headers(struct batching *o, struct args *a) {
    o->lines[o->line_count++] = (struct http_header){ SLICE("content-type"), SLICE("application/json") };
    for (size_t i = 0; i < o->headers.len; i++) {
        const char *word = o->headers.items[i], *colon = strchr(word, ':');
        struct slice name = slice_of(word, colon != NULL ? (size_t)(colon - word) : 0);
        struct slice value = colon != NULL ? slice_trim(slice_str(colon + 1)) : SLICE("");
        bool good = name.len > 0 && value.len < sizeof(o->authorization);
        for (size_t k = 0; k < name.len; k++) good &= http_is_token(name.ptr[k]);
        for (size_t k = 0; k < value.len; k++) good &= !http_is_control(value.ptr[k]);
        if (!good) {
            args_fail(a, "--header '%s' is not 'NAME: VALUE'", word);
            return false;
        }
        o->lines[o->line_count++] = (struct http_header){ name, value };
    }
    if (o->config == NULL || o->key_env == NULL) return true;
    const char *key = getenv(o->key_env);
    if (key == NULL || key[0] == '\0' || strlen(key) > sizeof(o->authorization) - 8) {
        args_fail(a, "--key-env %s: the environment has no key there", o->key_env);
        return false;
    }
    int n = snprintf(o->authorization, sizeof(o->authorization), "Bearer %s", key);
    o->lines[o->line_count++] = (struct http_header){ SLICE("authorization"), slice_of(o->authorization, (size_t)n) };
    return true;
}

/* FILE.jsonl is answered in FILE.out.jsonl. */
static void name_output(struct batching *o) {
    struct slice s = slice_str(o->file);
    if (slice_ends(s, SLICE(".jsonl"))) s.len -= 6;
    if (o->out == NULL) snprintf(o->out_path, sizeof(o->out_path), "%.*s.out.jsonl", SLICE_ARG(s));
    else snprintf(o->out_path, sizeof(o->out_path), "%s", o->out);
}

/* -- Looking at the file ---------------------------------------------------------------------------------- */

static void tell(void *ud, uint32_t line, const struct batch_fault *f) {
    struct batching *o = ud;
    if (line == 0) fprintf(stderr, "perilune batch: %s: %s\n", o->file, f->message);
    else if (++o->told < FAULTS) fprintf(stderr, "%s:%u:%zu: %s\n", o->file, line, f->column, f->message);
    else if (o->told == FAULTS) fprintf(stderr, "%s: has further bad lines, which are not told\n", o->file);
}

/* All lines, once.  Returns 0, or 1 after having said why nothing can be asked. */
static int look_through(struct batching *o, struct batch_engine *e) {
    struct batch_survey s = { .in = e->in, .ids = e->ids, .tell = tell, .ud = o };
    batch_survey_init(&s);
    int rc;
    while ((rc = batch_survey_step(&s, 1000)) == 0) {}
    if (rc < 0) fprintf(stderr, "perilune batch: %s: %s\n", o->file,
                        rc == PERILUNE_ERR_IO ? strerror(errno) : perilune_strerror(rc));
    batch_survey_deinit(&s);
    o->bad = s.bad;
    e->tally.lines = s.good;
    return rc < 0 || s.good == 0;
}

/* -- The gateway ------------------------------------------------------------------------------------------- */

/* On the log's thread.  Without --log: what a configuration warns of, over the bar, and not for each line of a
 * million. */
static void on_log(void *ud, int level, perilune_str line) {
    struct batching *o = ud;
    if (o->log_to != NULL) fprintf(o->log_to, "%.*s\n", (int)line.len, line.ptr);
    else if (level <= PERILUNE_LOG_WARN && o->warned++ < WARNINGS)
        dprintf(STDERR_FILENO, "%s%.*s\n%s", isatty(STDERR_FILENO) ? "\r\033[K" : "", (int)line.len, line.ptr,
                o->warned == WARNINGS ? "further warnings are told with --log FILE only\n" : "");
}

static void on_log_idle(void *ud) {
    struct batching *o = ud;
    if (o->log_to != NULL) fflush(o->log_to);
}

static int open_gateway(struct batching *o, perilune **out, char *err, size_t errlen) {
    perilune_options g = PERILUNE_OPTIONS_INIT;
    g.config = o->config;
    *out = NULL;
    if (o->log != NULL) {
        o->log_to = fopen(o->log, "ae");
        if (o->log_to == NULL) {
            snprintf(err, errlen, "%s: %s", o->log, strerror(errno));
            return PERILUNE_ERR_IO;
        }
    }
    if (o->log_to != NULL || o->config != NULL) {
        g.log = on_log;
        g.log_idle = on_log_idle;
        g.log_ud = o;
    }
    if (o->config != NULL) return perilune_open(out, &g, err, errlen);
    struct asking_to to = { .url = o->url, .key_env = o->key_env, .price_in = o->price_in, .price_out = o->price_out,
                            .timeout_s = o->timeout_s > 0 ? o->timeout_s : 600, .most = ANSWER_MAX, .any_path = true };
    return asking_gateway(out, &to, &g, err, errlen);
}

/* -- What came of it ---------------------------------------------------------------------------------------- */

static void say_words(const struct batching *o, const struct batch_run *b, double seconds) {
    const struct batch_tally *t = &b->engine.tally;
    uint64_t done = t->good + t->failed;
    struct buf s;
    buf_init(&s, 0);
    batch_put_count(&s, t->lines);
    buf_puts(&s, t->lines == 1 ? " line: " : " lines: ");
    batch_put_count(&s, t->good);
    buf_puts(&s, " answered, ");
    batch_put_count(&s, t->failed);
    buf_puts(&s, " failed, ");
    batch_put_count(&s, t->lines - done);
    buf_puts(&s, " left");
    if (o->bad > 0) buf_printf(&s, "; %llu bad", (unsigned long long)o->bad);
    if (t->before > 0) buf_printf(&s, "; %llu of them before", (unsigned long long)t->before);
    buf_puts(&s, "\nthis run: ");
    batch_put_time(&s, seconds);
    if (done > t->before && seconds > 0) buf_printf(&s, ", %.1f/s", (double)(done - t->before) / seconds);
    buf_printf(&s, ", %llu retries, ", (unsigned long long)t->retries);
    batch_put_count(&s, t->tokens_in);
    buf_puts(&s, " tokens in, ");
    batch_put_count(&s, t->tokens_out);
    buf_puts(&s, " out");
    if (t->usd > 0) buf_printf(&s, ", $%.4f", t->usd);
    buf_printf(&s, "\nanswers: %s\n", b->engine.out->path);
    if (b->engine.errors != b->engine.out) buf_printf(&s, "errors: %s\n", b->engine.errors->path);
    fputs(buf_failed(&s) ? "out of memory\n" : buf_cstr(&s), stdout);
    buf_deinit(&s);
}

static void say_json(const struct batching *o, const struct batch_run *b, double seconds) {
    const struct batch_tally *t = &b->engine.tally;
    struct buf s;
    buf_init(&s, 0);
    buf_printf(&s, "{\"lines\":%llu,\"bad\":%llu,\"before\":%llu,\"answered\":%llu,\"failed\":%llu,\"left\":%llu,",
               (unsigned long long)t->lines, (unsigned long long)o->bad, (unsigned long long)t->before,
               (unsigned long long)t->good, (unsigned long long)t->failed,
               (unsigned long long)(t->lines - t->good - t->failed));
    buf_printf(&s, "\"retries\":%llu,\"tokens_in\":%llu,\"tokens_out\":%llu,\"tokens_cached\":%llu,\"usd\":%.9f,",
               (unsigned long long)t->retries, (unsigned long long)t->tokens_in, (unsigned long long)t->tokens_out,
               (unsigned long long)t->tokens_cached, t->usd);
    buf_printf(&s, "\"seconds\":%.3f,\"interrupted\":%s,\"output\":", seconds, b->interrupts > 0 ? "true" : "false");
    json_write_string(&s, slice_str(b->engine.out->path));
    buf_puts(&s, ",\"errors\":");
    json_write_string(&s, slice_str(b->engine.errors->path));
    buf_puts(&s, "}\n");
    fputs(buf_failed(&s) ? "out of memory\n" : buf_cstr(&s), stdout);
    buf_deinit(&s);
}

static int finish(const struct batching *o, const struct batch_run *b, double seconds) {
    const struct batch_tally *t = &b->engine.tally;
    if (b->engine.why[0]) fprintf(stderr, "perilune batch: %s\n", b->engine.why);
    if (b->engine.changed > 0)
        fprintf(stderr, "%s: changed meanwhile: %llu lines are new; run the same again\n", o->file,
                (unsigned long long)b->engine.changed);
    if (o->json) say_json(o, b, seconds);
    else say_words(o, b, seconds);
    if (b->interrupts > 0 && t->good + t->failed < t->lines) return INTERRUPTED;
    bool whole = t->good == t->lines && o->bad == 0 && b->engine.changed == 0 && b->engine.why[0] == '\0';
    return whole ? 0 : 1;
}

/* -- The command ------------------------------------------------------------------------------------------------ */

/* What earlier runs left. */
static int open_outputs(struct batching *o, struct batch_run *b, struct batch_output *out, struct batch_output *errors,
                        char *err, size_t errlen) {
    struct batch_output *both[] = { out, errors };
    const char *paths[] = { o->out_path, o->errors };
    bool separate = o->errors != NULL && strcmp(o->errors, o->out_path) != 0;
    b->engine.out = out;
    b->engine.errors = separate ? errors : out;
    for (int i = 0; i < 1 + separate; i++) {
        int rc = batch_output_open(both[i], paths[i], b->engine.in->device, b->engine.in->inode);
        if (rc == 0) rc = batch_output_load(both[i], b->engine.ids, o->again);
        if (rc != 0) {
            snprintf(err, errlen, "%s", both[i]->err);
            return rc;
        }
        b->engine.tally.good += both[i]->good;
        b->engine.tally.failed += both[i]->failed;
    }
    b->engine.tally.before = b->engine.tally.good + b->engine.tally.failed;
    return 0;
}

/* Interrupts are read, not suffered.  All threads of the gateway inherit the mask. */
static int open_signals(sigset_t *old) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, old);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int ask_all(struct batching *o, struct batch_run *b) {
    struct batch_settings set = { .concurrency = (unsigned)o->concurrency, .tries = (unsigned)o->tries,
                                  .ordered = o->ordered, .keep_going = o->keep_going, .headers = o->lines,
                                  .header_count = o->line_count };
    char err[2048] = "";
    if (b->engine.tally.before < b->engine.tally.lines && open_gateway(o, &b->gateway, err, sizeof(err)) != 0) {
        fprintf(stderr, "perilune batch: %s\n", err);
        return 1;
    }
    uint64_t start = loop_hrtime_us();
    if (b->gateway != NULL) batch_run(b, &set);
    return finish(o, b, (double)(loop_hrtime_us() - start) / 1e6);
}

static int run(struct batching *o, struct batch_run *b) {
    struct batch_output out = { .fd = -1 }, errors = { .fd = -1 };
    char err[2048] = "";
    int status = 1;
    if (look_through(o, &b->engine) != 0) return status;
    if (o->check) {
        printf("%s: %llu lines can be asked, %llu cannot\n", o->file, (unsigned long long)b->engine.tally.lines,
               (unsigned long long)o->bad);
        return o->bad > 0;
    }
    if (o->strict && o->bad > 0) {
        fprintf(stderr, "perilune batch: %llu bad lines, so nothing was asked (--strict)\n",
                (unsigned long long)o->bad);
        return status;
    }
    if (open_outputs(o, b, &out, &errors, err, sizeof(err)) != 0) fprintf(stderr, "perilune batch: %s\n", err);
    else status = ask_all(o, b);
    perilune_close(b->gateway);
    batch_output_close(&out);
    batch_output_close(&errors);
    return status;
}

PERILUNE_API int perilune_tool_batch(int argc, char **argv) {
    struct batching o = { .concurrency = 32, .tries = 8 };
    o.headers = (struct arg_list){ .items = o.header_words, .cap = HEADERS };
    struct args a = {
        .command = "perilune batch",
        .usage = "FILE.jsonl --url URL | --config FILE.lua [options]",
        .about = "Asks for every line of FILE, in OpenAI's batch format ({\"custom_id\", \"method\", \"url\",\n"
                 "\"body\"}), and appends a line to OUT for each, in the order in which answers come.\n"
                 "OUT is the record: what has a line there is not asked again, so a run that was\n"
                 "interrupted or killed goes on when the same command is run again.\n"
                 "Bad lines are named and left out.  What fails for the moment is tried again, with\n"
                 "pauses, and later when the upstream asks for it; what fails for good gets a line, too.\n"
                 "One interrupt waits for the requests under way, a second one ends at once.\n"
                 "Exit status 0: every line is answered, 1: not all, 2: wrong usage, 130: interrupted.",
        .words = &o.file,
        .max_words = 1,
    };
    int status = read_arguments(&o, &a, argc, argv);
    if (status >= 0) return status;
    if (!read_headers(&o, &a)) return 2;
    name_output(&o);
    struct batch_input in;
    struct batch_ids ids;
    struct batch_run b = { .engine = { .in = &in, .ids = &ids } };
    char err[1024];
    if (batch_input_open(&in, o.file, err, sizeof(err)) != 0) {
        fprintf(stderr, "perilune batch: %s\n", err);
        return 1;
    }
    sigset_t old;
    b.signals = open_signals(&old);
    batch_ids_init(&ids);
    status = run(&o, &b);
    batch_ids_deinit(&ids);
    batch_input_close(&in);
    if (b.signals >= 0) close(b.signals);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (o.log_to != NULL) fclose(o.log_to);
    return status;
}
