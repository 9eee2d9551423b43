/* steady.c -- the score of the pair model that ships, steadied by what else is known.
 *
 *     log-odds of the model + NEAR (similarity - USUAL) - CROWDED (crowd - ROOM, if it is more) - LONGER |log(a / b)|
 *
 * The model is sure of what it has learned and guesses on other kinds of text, where it takes each word that differs
 * for another meaning.  The similarity knows less and is the same everywhere.  Where many questions lie close
 * to the one that is asked, the nearest of them says less; and what is twice as long says more.
 *
 * A model that was calibrated on one's own questions is best alone, and is not steadied.
 *
 * The weights were chosen, and USUAL so placed that the curve of the model holds on, as table/README.md says. */
#include "semantic/steady.h"

#include <math.h>

#define NEAR    20.0f
#define USUAL   0.81f
#define CROWDED 8.0f
#define ROOM    0.45f
#define LONGER  3.0f
#define NEAREST 3

float steady_crowd(const float *similarities, unsigned count, unsigned which) {
    float nearest[NEAREST] = { 0 }, sum = 0; /* descending */
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++) {
        if (i == which) continue;
        unsigned at = found < NEAREST ? found++ : NEAREST;
        for (; at > 0 && nearest[at - 1] < similarities[i]; at--)
            if (at < NEAREST) nearest[at] = nearest[at - 1];
        if (at < NEAREST) nearest[at] = similarities[i];
    }
    for (unsigned i = 0; i < found; i++) sum += nearest[i];
    return found > 0 ? sum / (float)found : 0;
}

float steady_score(float score, float similarity, float crowd, size_t bytes, size_t other_bytes) {
    if (!(score > 0) || !(score < 1) || bytes == 0 || other_bytes == 0) return score;
    float odds = logf(score / (1 - score)) + NEAR * (similarity - USUAL);
    if (crowd > ROOM) odds -= CROWDED * (crowd - ROOM);
    odds -= LONGER * fabsf(logf((float)bytes / (float)other_bytes));
    return 1 / (1 + expf(-odds));
}
