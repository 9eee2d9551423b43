/* limit_meter.c -- one window of one kind, of one key.
 *
 *     second, minute, hour     a bucket that leaks           day, month     a counter of a calendar period (UTC)
 *
 *       most --- _                                             most ---       _____
 *                 \__  used                                               ___/     | midnight
 *          0 --------\____                                        0 ------         |_______
 *
 * The bucket is GCRA (the theoretical arrival time is at + used * window / most) with a burst of a whole window, kept
 * as an amount and not as a time, so that another limit after a reload leaves what was used as it was.  It needs no
 * wall clock.  Threads look at the clock at different times: one that is behind changes nothing.
 *
 * Money and daily quotas are counted by the calendar, as invoices are.  A period begins when the wall clock says a
 * later one than before.  A wall clock that jumps back does not: what was used stays used, until as much time has
 * passed by the monotonic clock as a period lasts, so that a clock that was years ahead for a moment locks nobody out
 * for years.  A jump ahead gives one period's amount anew, once: the same as midnight.
 *
 * Invariants: used >= 0; with most = 0 nothing flows away and nothing fits. */
#include "sched/limit_meter.h"

#include <math.h>

#define EXACT   1e-6 /* amounts are whole numbers: what is nearer than this fits */
#define SOON_MS 1000 /* when only what is reserved is in the way, nobody knows for how long */
#define DAY_S   86400

static enum limit_window window_of(unsigned which) { return (enum limit_window)(which % LIMIT_WINDOWS); }
static bool is_calendar(unsigned which) { return window_of(which) >= LIMIT_DAY; }

uint64_t limit_window_ms(enum limit_window w) {
    static const uint64_t ms[] = { 1000, 60000, 3600000, 86400000, UINT64_C(31) * 86400000 };
    return ms[w];
}

/* Days since 1970 of the first of a month (Howard Hinnant, days_from_civil). */
static int64_t first_of_month(int64_t year, unsigned month) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400, of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* The month that a day is in, counted from January of year 0. */
static int64_t month_of(int64_t day) {
    day += 719468;
    int64_t era = (day >= 0 ? day : day - 146096) / 146097;
    int64_t of_era = day - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100), mp = (5 * of_year + 2) / 153;
    int64_t month = mp < 10 ? mp + 2 : mp - 10; /* 0: January */
    return (year + era * 400 + (month <= 1)) * 12 + month;
}

uint32_t limit_period(enum limit_window w, int64_t wall_s, uint64_t *left_ms) {
    if (wall_s < 0) wall_s = 0;
    int64_t day = wall_s / DAY_S, number = day, end = day + 1;
    if (w == LIMIT_MONTH) {
        number = month_of(day);
        end = first_of_month((number + 1) / 12, (unsigned)((number + 1) % 12) + 1);
    }
    *left_ms = (uint64_t)(end * DAY_S - wall_s) * 1000;
    return (uint32_t)number;
}

static void refresh_period(struct meter *m, unsigned which, struct limit_clock now) {
    uint64_t left, lasts = limit_window_ms(window_of(which)) / 1000;
    uint32_t period = limit_period(window_of(which), now.wall_s, &left), now_s = (uint32_t)(now.mono_ms / 1000);
    bool stuck = period < m->period && now_s > m->began_s && now_s - m->began_s >= lasts;
    if (period <= m->period && !stuck) return;
    m->used = 0;
    m->period = period;
    m->began_s = now_s;
}

void meter_refresh(struct meter *m, unsigned which, double most, struct limit_clock now) {
    m->most = most;
    if (is_calendar(which)) {
        refresh_period(m, which, now);
        return;
    }
    if (now.mono_ms <= m->at_ms) return;
    double gone = (double)(now.mono_ms - m->at_ms) * most / (double)limit_window_ms(window_of(which));
    m->used = m->used > gone ? m->used - gone : 0;
    m->at_ms = now.mono_ms;
}

bool meter_fits(const struct meter *m, double held, double cost) {
    if (m->most <= 0) return false;
    return m->used + held + cost <= m->most + EXACT;
}

/* Milliseconds for so much to flow away. */
static uint64_t flow_ms(const struct meter *m, unsigned which, double amount) {
    double ms = ceil(amount * (double)limit_window_ms(window_of(which)) / m->most - EXACT);
    return ms < 1 ? 1 : ms > 1e15 ? (uint64_t)1e15 : (uint64_t)ms;
}

uint64_t meter_wait_ms(const struct meter *m, unsigned which, double cost, struct limit_clock now) {
    double over = m->used + cost - m->most;
    uint64_t left;
    if (m->most <= 0 || cost > m->most + EXACT) return 0;
    if (over <= EXACT) return SOON_MS;
    if (!is_calendar(which)) return flow_ms(m, which, over);
    limit_period(window_of(which), now.wall_s, &left);
    return left;
}

uint64_t meter_reset_ms(const struct meter *m, unsigned which, struct limit_clock now) {
    uint64_t left;
    if (m->used <= 0 || m->most <= 0) return 0;
    if (!is_calendar(which)) return flow_ms(m, which, m->used);
    limit_period(window_of(which), now.wall_s, &left);
    return left;
}
