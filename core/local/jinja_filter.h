/* jinja_filter.h -- filters over lists, for the table of jinja_filter.c.  See jinja_seq.c. */
#ifndef PERILUNE_LOCAL_JINJA_FILTER_H
#define PERILUNE_LOCAL_JINJA_FILTER_H

#include "local/jinja_int.h"

typedef int jinja_filter_run(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                             struct jinja_value *out);
typedef jinja_filter_run *jinja_filter_fn;

jinja_filter_run jinja_f_join, jinja_f_first, jinja_f_last, jinja_f_list, jinja_f_items, jinja_f_dictsort,
    jinja_f_reverse,
    jinja_f_sort, jinja_f_unique, jinja_f_min, jinja_f_max, jinja_f_sum, jinja_f_map, jinja_f_select, jinja_f_reject,
    jinja_f_selectattr, jinja_f_rejectattr;

#endif
