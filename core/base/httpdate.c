/* httpdate.c -- dates in HTTP headers, and how long an answer asks to wait.
 *
 * Three forms are to be understood (RFC 9110, 5.6.7):
 *
 *     Sun, 06 Nov 1994 08:49:37 GMT     what everybody sends
 *     Sunday, 06-Nov-94 08:49:37 GMT    RFC 850
 *     Sun Nov  6 08:49:37 1994          asctime()
 *
 * All are GMT.  The parser is strict: what is not one of these is no date.  Whether
 * the day of the week is the right one is not checked.
 *
 * A date in Retry-After is compared with the Date of the same answer, so that the
 * clocks of two machines need not agree.
 *
 * Pure functions: the clock is an argument. */
#include "base/httpdate.h"

#include <stdbool.h>

#include "include/perilune.h"

/* -- A cursor over the text ------------------------------------------------------ */

struct cursor {
    struct slice left;
    bool         bad; /* sticky */
};

static void skip(struct cursor *c, size_t n) {
    c->left.ptr += n;
    c->left.len -= n;
}

static void eat(struct cursor *c, struct slice literal) {
    if (c->bad || !slice_starts(c->left, literal)) c->bad = true;
    else skip(c, literal.len);
}

/* Exactly n digits. */
static int number(struct cursor *c, size_t n) {
    int v = 0;
    if (c->bad || c->left.len < n) {
        c->bad = true;
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        char d = c->left.ptr[i];
        if (d < '0' || d > '9') c->bad = true;
        v = v * 10 + (d - '0');
    }
    skip(c, n);
    return c->bad ? 0 : v;
}

/* Which of the names comes next; bad when none does. */
static int name(struct cursor *c, const char *const *names, int count) {
    for (int i = 0; i < count && !c->bad; i++) {
        struct slice s = slice_str(names[i]);
        if (!slice_starts(c->left, s)) continue;
        skip(c, s.len);
        return i;
    }
    c->bad = true;
    return 0;
}

/* -- The three forms --------------------------------------------------------------- */

static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const char *const days[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };
static const char *const long_days[] = { "Monday", "Tuesday", "Wednesday", "Thursday",
                                         "Friday", "Saturday", "Sunday" };

struct date { int year, month, day, hour, minute, second; }; /* month from 0 */

static void clock_time(struct cursor *c, struct date *d) {
    d->hour = number(c, 2);
    eat(c, SLICE(":"));
    d->minute = number(c, 2);
    eat(c, SLICE(":"));
    d->second = number(c, 2);
}

static bool is_over(const struct cursor *c) { return !c->bad && c->left.len == 0; }

static bool read_fixdate(struct cursor c, struct date *d) {
    name(&c, days, 7);
    eat(&c, SLICE(", "));
    d->day = number(&c, 2);
    eat(&c, SLICE(" "));
    d->month = name(&c, months, 12);
    eat(&c, SLICE(" "));
    d->year = number(&c, 4);
    eat(&c, SLICE(" "));
    clock_time(&c, d);
    eat(&c, SLICE(" GMT"));
    return is_over(&c);
}

static bool read_asctime(struct cursor c, struct date *d) {
    name(&c, days, 7);
    eat(&c, SLICE(" "));
    d->month = name(&c, months, 12);
    eat(&c, SLICE(" "));
    bool one = c.left.len > 0 && c.left.ptr[0] == ' '; /* " 6" */
    if (one) skip(&c, 1);
    d->day = number(&c, one ? 1 : 2);
    eat(&c, SLICE(" "));
    clock_time(&c, d);
    eat(&c, SLICE(" "));
    d->year = number(&c, 4);
    return is_over(&c);
}

/* The year is still one of two digits. */
static bool read_rfc850(struct cursor c, struct date *d) {
    name(&c, long_days, 7);
    eat(&c, SLICE(", "));
    d->day = number(&c, 2);
    eat(&c, SLICE("-"));
    d->month = name(&c, months, 12);
    eat(&c, SLICE("-"));
    d->year = number(&c, 2);
    eat(&c, SLICE(" "));
    clock_time(&c, d);
    eat(&c, SLICE(" GMT"));
    return is_over(&c);
}

/* -- From a date to seconds ---------------------------------------------------------- */

static bool is_leap(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

static bool is_real(const struct date *d) {
    static const int length[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int most = length[d->month] + (d->month == 1 && is_leap(d->year));
    return d->day >= 1 && d->day <= most && d->hour < 24 && d->minute < 60 && d->second <= 60;
}

/* Years are counted from March, so that the leap day is the last of its year. */
static int64_t seconds_of(const struct date *d) {
    int64_t month = (d->month + 10) % 12, year = d->year - (d->month < 2);
    int64_t in_year = (153 * month + 2) / 5 + d->day - 1; /* months of 31 30 31 30 31 | 31 30 ... */
    int64_t day = year * 365 + year / 4 - year / 100 + year / 400 + in_year - 719468;
    return ((day * 24 + d->hour) * 60 + d->minute) * 60 + d->second;
}

static int year_of(int64_t now) {
    struct date d = { .year = 1970 };
    while (d.year < 9999 && now >= seconds_of(&(struct date){ .year = d.year + 1, .day = 1 })) d.year++;
    return d.year;
}

/* More than fifty years ahead is the century before. */
static int full_year(int two, int64_t now) {
    int this_year = year_of(now), year = this_year / 100 * 100 + two;
    return year > this_year + 50 ? year - 100 : year;
}

int httpdate_parse(struct slice s, int64_t now, int64_t *out) {
    struct cursor c = { s, false };
    struct date d;
    if (!read_fixdate(c, &d) && !read_asctime(c, &d)) {
        if (!read_rfc850(c, &d)) return PERILUNE_ERR_INVAL;
        d.year = full_year(d.year, now);
    }
    if (!is_real(&d)) return PERILUNE_ERR_INVAL;
    *out = seconds_of(&d);
    return 0;
}

/* -- Retry-After ------------------------------------------------------------------------ */

/* A number times 10^places, rounded up: who comes back a moment too early has come for nothing.  What is larger than
 * any wait that is believed in is RETRY_AFTER_MAX_MS; -1: it is no number. */
static int64_t scaled(struct slice s, int places) {
    int64_t v = 0;
    bool more = false; /* digits that were cut off */
    size_t i = 0, point;
    for (; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++)
        if (v < RETRY_AFTER_MAX_MS) v = v * 10 + (s.ptr[i] - '0');
    if (i == 0) return -1;
    point = i;
    if (i < s.len && s.ptr[i] == '.') i++;
    for (; i < s.len && i > point && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++) {
        if (places > 0 && v < RETRY_AFTER_MAX_MS) v = v * 10 + (s.ptr[i] - '0');
        else more |= s.ptr[i] != '0';
        places--;
    }
    if (i != s.len) return -1;
    for (; places > 0 && v < RETRY_AFTER_MAX_MS; places--) v *= 10;
    v += more;
    return v < RETRY_AFTER_MAX_MS ? v : RETRY_AFTER_MAX_MS;
}

static uint32_t bounded(int64_t ms) {
    if (ms < 0) return 0;
    return ms > RETRY_AFTER_MAX_MS ? RETRY_AFTER_MAX_MS : (uint32_t)ms;
}

int64_t httpdate_wait_ms(struct slice s) { return scaled(slice_trim(s), 0); }

uint32_t httpdate_retry_after(const struct retry_after *h, int64_t now) {
    int64_t ms = httpdate_wait_ms(h->ms);
    if (ms >= 0) return bounded(ms);
    struct slice wait = slice_trim(h->wait);
    int64_t at, there;
    if ((ms = scaled(wait, 3)) >= 0) return bounded(ms);
    if (httpdate_parse(wait, now, &at) != 0) return 0;
    if (httpdate_parse(slice_trim(h->date), now, &there) != 0) there = now;
    return bounded((at - there) * 1000);
}

/* -- x-ratelimit-reset -------------------------------------------------------------------- */

#define EPOCH_S  1000000000 /* more seconds than this are a time since 1970, ... */
#define EPOCH_MS 1000000000000 /* ... and more than this are its milliseconds */

/* The longest prefix that is a number; its length. */
static size_t number_at(struct slice s) {
    size_t i = 0;
    while (i < s.len && ((s.ptr[i] >= '0' && s.ptr[i] <= '9') || s.ptr[i] == '.')) i++;
    return i;
}

/* Go's way to write a duration, a number and a unit for each part.  -1: it is none. */
static int64_t go_duration(struct slice s) {
    static const struct { const char *unit; int64_t ms; } units[] = { { "ms", 1 }, { "us", 0 }, { "ns", 0 },
                                                                       { "h", 3600000 }, { "m", 60000 }, { "s", 1000 },
                                                                       { "d", 86400000 } };
    int64_t sum = 0;
    if (s.len == 0) return -1;
    while (s.len > 0 && sum < RETRY_AFTER_MAX_MS) {
        size_t n = number_at(s), u = 0, count = sizeof(units) / sizeof(*units);
        int64_t v = scaled(slice_of(s.ptr, n), 3);
        struct slice rest = slice_of(s.ptr + n, s.len - n);
        while (u < count && !slice_starts(rest, slice_str(units[u].unit))) u++;
        if (v < 0 || u == count) return -1;
        sum += v * units[u].ms / 1000 + (v > 0 && (units[u].ms == 0 || v * units[u].ms % 1000 != 0));
        size_t len = strlen(units[u].unit);
        s = slice_of(rest.ptr + len, rest.len - len);
    }
    return sum;
}

/* A number that is too large for a wait: a time since 1970, perhaps. */
static int64_t epoch(struct slice s) {
    int64_t v = 0;
    size_t n = 0;
    while (n < s.len && n < 13 && s.ptr[n] >= '0' && s.ptr[n] <= '9') v = v * 10 + (s.ptr[n++] - '0');
    if (n < s.len && s.ptr[n] != '.') return 0;
    return v >= EPOCH_MS ? v : v >= EPOCH_S ? v * 1000 : 0;
}

uint32_t httpdate_reset(struct slice s, int64_t now) {
    int64_t at;
    s = slice_trim(s);
    if ((at = epoch(s)) > 0) return bounded(at - now * 1000);
    int64_t ms = scaled(s, 3);
    if (ms < 0) ms = go_duration(s);
    if (ms >= 0) return bounded(ms);
    return httpdate_parse(s, now, &at) == 0 ? bounded((at - now) * 1000) : 0;
}
