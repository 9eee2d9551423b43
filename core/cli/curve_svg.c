/* curve_svg.c -- the curve of a router as a picture: quality against cost.
 *
 * One SVG without scripts, styles or fonts of its own, which any browser shows.  x is what the prompts cost, or,
 * where nobody said, the share of them that goes to the big model; the dashed line is who chooses at random. */
#include <stdio.h>

#include "cli/files.h"
#include "cli/learn.h"

#define WIDTH  640
#define HEIGHT 420
#define LEFT   70
#define RIGHT  20
#define TOP    40
#define BOTTOM 60

struct frame {
    double x0, x1, y0, y1; /* of values */
};

static double px(const struct frame *f, double v) {
    return LEFT + (v - f->x0) / (f->x1 - f->x0) * (WIDTH - LEFT - RIGHT);
}

static double py(const struct frame *f, double v) {
    return HEIGHT - BOTTOM - (v - f->y0) / (f->y1 - f->y0) * (HEIGHT - TOP - BOTTOM);
}

static void put_escaped(struct buf *out, const char *s) {
    for (; *s != '\0'; s++) {
        if (*s == '<') buf_puts(out, "&lt;");
        else if (*s == '&') buf_puts(out, "&amp;");
        else buf_putc(out, (unsigned char)*s < 0x20 ? ' ' : *s);
    }
}

static void put_axes(struct buf *out, const struct frame *f, const char *x_name, double x_scale) {
    for (int i = 0; i <= 4; i++) {
        double x = f->x0 + (f->x1 - f->x0) * i / 4, y = f->y0 + (f->y1 - f->y0) * i / 4;
        buf_printf(out, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#ddd\"/>\n", px(f, x), TOP,
                   px(f, x), HEIGHT - BOTTOM);
        buf_printf(out, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", LEFT, py(f, y),
                   WIDTH - RIGHT, py(f, y));
        buf_printf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.4g</text>\n", px(f, x),
                   HEIGHT - BOTTOM + 18, x * x_scale);
        buf_printf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n", LEFT - 8, py(f, y) + 4, y);
    }
    buf_printf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", (LEFT + WIDTH - RIGHT) / 2,
               HEIGHT - 20, x_name);
    buf_printf(out, "<text x=\"18\" y=\"%d\" text-anchor=\"middle\" transform=\"rotate(-90 18 %d)\">quality</text>\n",
               HEIGHT / 2, HEIGHT / 2);
}

const char *curve_svg_write(const char *path, const struct curve *c, const char *small, const char *big) {
    bool costs = c->cost[1] > c->cost[0];
    struct frame f = { costs ? c->cost[0] : 0, costs ? c->cost[1] : 1, c->quality[0], c->quality[0] };
    struct buf out;
    for (unsigned i = 0; i < CURVE_POINTS; i++) {
        if (c->points[i].quality < f.y0) f.y0 = c->points[i].quality;
        if (c->points[i].quality > f.y1) f.y1 = c->points[i].quality;
    }
    if (!(f.y1 - f.y0 > 1e-6)) f.y1 = f.y0 + 0.01;
    buf_init(&out, 0);
    buf_printf(&out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
                     "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n", WIDTH, HEIGHT);
    put_axes(&out, &f, costs ? "USD for 1000 prompts" : "share of prompts that goes to the big model",
             costs ? 1000 : 1);
    buf_puts(&out, "<line stroke=\"#888\" stroke-dasharray=\"5 4\" ");
    buf_printf(&out, "x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", px(&f, f.x0), py(&f, c->quality[0]),
               px(&f, f.x1), py(&f, c->quality[1]));
    buf_puts(&out, "<polyline fill=\"none\" stroke=\"#06c\" stroke-width=\"2\" points=\"");
    for (unsigned i = 0; i < CURVE_POINTS; i++)
        buf_printf(&out, "%.1f,%.1f ", px(&f, costs ? c->points[i].cost : c->points[i].share),
                   py(&f, c->points[i].quality));
    buf_printf(&out, "\"/>\n<text x=\"%d\" y=\"24\">", LEFT);
    put_escaped(&out, small);
    buf_puts(&out, " to ");
    put_escaped(&out, big);
    if (c->is_defined) buf_printf(&out, ": APGR %.3f (%.3f to %.3f)", c->apgr, c->low, c->high);
    buf_puts(&out, "</text>\n</svg>\n");
    const char *why = buf_failed(&out) ? "out of memory" : files_write(path, &out);
    buf_deinit(&out);
    return why;
}
