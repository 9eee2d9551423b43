/* filter.h -- what stands in a response between its source and its consumer; h2o calls
 * it an output stream.
 *
 *     source --> [response holds] --> filter --> filter --> consumer
 *
 * A filter gets each event from its left and passes on what it likes to `to`; it adds
 * no event behind END or ERROR.  It may hold pieces back, but not for long: resume()
 * goes from the consumer to the source past all filters.  One that finds that the
 * answer must not go on calls response_break(). */
#ifndef PERILUNE_FLOW_FILTER_H
#define PERILUNE_FLOW_FILTER_H

#include "flow/flow.h"

struct filter {
    struct sink    sink; /* what comes from the left; the implementation sets it */
    struct sink   *to;   /* the next one; the response sets it */
    struct filter *next; /* the response's */
    void         (*free)(struct filter *f);
};

#endif
