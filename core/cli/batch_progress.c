/* batch_progress.c -- how far a batch is, for people.
 *
 *     [########............]  41%  2,050/5,000  31.4/s  1.2M in  400k out  $0.53  3 failed  1m 34s left
 *
 * On a terminal the line is drawn over itself ten times a second; where stderr is a file or a pipe, it is a line of its
 * own every LINE_MS.  The rate forgets: half of what it says is of the last RATE_MS or so, because what is left goes as
 * fast as things go now, not as they went in the first hour. */
#include "cli/batch_progress.h"

#include <math.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "gateway/batch_engine.h"

#define DRAW_MS 100
#define LINE_MS 10000
#define RATE_MS 5000
#define BAR     20 /* characters */

void batch_put_count(struct buf *out, uint64_t n) {
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) buf_putc(out, ',');
        buf_putc(out, digits[i]);
    }
}

void batch_put_short(struct buf *out, uint64_t n) {
    double v = (double)n;
    if (n < 10000) buf_u64(out, n);
    else if (v < 999.5e3) buf_printf(out, "%.0fk", v / 1e3);
    else if (v < 999.5e6) buf_printf(out, "%.1fM", v / 1e6);
    else buf_printf(out, "%.1fG", v / 1e9);
}

void batch_put_time(struct buf *out, double seconds) {
    if (!(seconds < 1e8)) seconds = 1e8;
    unsigned long s = (unsigned long)(seconds + 0.5);
    if (s < 60) buf_printf(out, "%lus", s);
    else if (s < 3600) buf_printf(out, "%lum %02lus", s / 60, s % 60);
    else if (s < 86400) buf_printf(out, "%luh %02lum", s / 3600, s / 60 % 60);
    else buf_printf(out, "%lud %02luh", s / 86400, s / 3600 % 24);
}

static void put_usd(struct buf *out, double usd) {
    buf_printf(out, usd < 1 ? "  $%.4f" : "  $%.2f", usd);
}

static void put_parts(const struct batch_progress *p, const struct batch_tally *t, struct buf *out) {
    uint64_t done = t->good + t->failed;
    batch_put_count(out, done);
    buf_putc(out, '/');
    batch_put_count(out, t->lines);
    if (p->rate > 0) buf_printf(out, p->rate < 100 ? "  %.1f/s" : "  %.0f/s", p->rate);
    if (t->tokens_in + t->tokens_out > 0) {
        buf_puts(out, "  ");
        batch_put_short(out, t->tokens_in);
        buf_puts(out, " in  ");
        batch_put_short(out, t->tokens_out);
        buf_puts(out, " out");
    }
    if (t->usd > 0) put_usd(out, t->usd);
    if (t->failed > 0) {
        buf_puts(out, "  ");
        batch_put_count(out, t->failed);
        buf_puts(out, " failed");
    }
    if (p->rate > 0 && done < t->lines) {
        buf_puts(out, "  ");
        batch_put_time(out, (double)(t->lines - done) / p->rate);
        buf_puts(out, " left");
    }
}

void batch_progress_write(const struct batch_progress *p, const struct batch_tally *t, unsigned columns,
                          struct buf *out) {
    struct buf line;
    buf_init(&line, 0);
    uint64_t done = t->good + t->failed;
    double part = t->lines > 0 ? (double)done / (double)t->lines : 1;
    unsigned full = (unsigned)(part * BAR);
    if (columns >= 60) {
        buf_putc(&line, '[');
        for (unsigned i = 0; i < BAR; i++) buf_putc(&line, i < full ? '#' : '.');
        buf_puts(&line, "]  ");
    }
    buf_printf(&line, "%3u%%  ", (unsigned)(part * 100));
    put_parts(p, t, &line);
    struct slice s = buf_get(&line);
    buf_slice(out, slice_of(s.ptr, s.len < columns ? s.len : columns));
    if (buf_failed(&line)) out->error = line.error;
    buf_deinit(&line);
}

/* One write: the log of another thread does not come in between. */
static void say(const struct buf *text) {
    struct slice s = buf_get(text);
    if (!buf_failed(text) && write(STDERR_FILENO, s.ptr, s.len) < 0) return; /* nobody need see it */
}

static unsigned columns_of_terminal(void) {
    struct winsize w;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_col < 20) return 80;
    return w.ws_col;
}

void batch_progress_init(struct batch_progress *p, uint64_t now_ms, const struct batch_tally *t) {
    *p = (struct batch_progress){ .terminal = isatty(STDERR_FILENO) != 0, .start_ms = now_ms, .drawn_ms = now_ms,
                                  .rated_ms = now_ms, .rated_done = t->good + t->failed };
    p->columns = p->terminal ? columns_of_terminal() : 200;
}

void batch_progress_clear(struct batch_progress *p) {
    if (!p->shown) return;
    struct buf text;
    buf_init(&text, 0);
    buf_puts(&text, "\r\033[K");
    say(&text);
    buf_deinit(&text);
    p->shown = false;
}

/* The rate of what was done since the last time, weighed against what it was before. */
static void rate(struct batch_progress *p, uint64_t done, uint64_t now_ms) {
    uint64_t ms = now_ms - p->rated_ms;
    if (ms < 500) return;
    double now = (double)(done - p->rated_done) * 1000 / (double)ms, weight = 1 - exp2(-(double)ms / RATE_MS);
    p->rate = p->rate > 0 ? p->rate + (now - p->rate) * weight : now;
    p->rated_ms = now_ms;
    p->rated_done = done;
}

void batch_progress_tick(struct batch_progress *p, const struct batch_tally *t, uint64_t now_ms) {
    if (now_ms - p->drawn_ms < (p->terminal ? DRAW_MS : LINE_MS)) return;
    struct buf text;
    buf_init(&text, 0);
    p->drawn_ms = now_ms;
    rate(p, t->good + t->failed, now_ms);
    if (p->terminal) {
        p->columns = columns_of_terminal(); /* windows change */
        buf_putc(&text, '\r');
    }
    batch_progress_write(p, t, p->columns - 1, &text);
    buf_puts(&text, p->terminal ? "\033[K" : "\n");
    say(&text);
    p->shown = p->terminal;
    buf_deinit(&text);
}
