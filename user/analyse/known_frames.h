/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What telling sites apart asks of a frame, worked out once: new stacks are made of known frames
 * for the most part, and to hash and rank each anew was a quarter of pyleak's processor time on a
 * program that draws charts (tests/bench/workloads/figures.py, measured 2026-11-21).
 */
#ifndef PYLEAK_ANALYSE_KNOWN_FRAMES_H
#define PYLEAK_ANALYSE_KNOWN_FRAMES_H

#include <stdint.h>

#include "analyse/frame_rank.h"

struct known_frame {
	uint64_t id; /* frame_id() */
	enum frame_rank rank;
};

/* 64 bits of a SHA-256 over the frame's names. */
uint64_t frame_id(const struct frame *frame);

struct known_frames;
/* @include and @exclude: of frame_rank(); borrowed. */
struct known_frames *known_frames_new(char *const *include, char *const *exclude);
void known_frames_free(struct known_frames *known);

/* Names that are equal are taken to be at the same place, as interned ones are; else it only takes
 * longer. The result holds until the next call. */
const struct known_frame *known_frames_get(struct known_frames *known, const struct frame *frame);

#endif
