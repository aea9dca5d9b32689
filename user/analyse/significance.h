/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The level at which this room calls a trend one, and what its intervals are made of. */
#ifndef PYLEAK_ANALYSE_SIGNIFICANCE_H
#define PYLEAK_ANALYSE_SIGNIFICANCE_H

/* Of the tests in trend.h, one-sided: so often a series without a trend passes. */
#define SIGNIFICANT 0.05

/* 95 % of a normal distribution lie within so many standard deviations of its mean. */
#define QUANTILE_95 1.959963984540054

#endif
