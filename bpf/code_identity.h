/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What tells a code object from a later one at its address: read for every frame of a stack that is
 * sent. The members lie in cache lines that the interpreter does not touch itself, so a read takes
 * 0.3 us (measured with matplotlib: 24 frames a stack, 6.7 us), and stacks of one window are mostly
 * made of the same frames. In bursts a thread therefore remembers what it has read just now.
 */
#ifndef PYLEAK_BPF_CODE_IDENTITY_H
#define PYLEAK_BPF_CODE_IDENTITY_H

/*
 * How long an identity holds then, in units of struct block's born: 4.2 ms. For so long a code
 * object that came in the place of another may be taken for it; the next look at the target then
 * seals the context. Where everything is traced, each is read.
 */
enum { IDENTITY_HOLDS = 4 };

struct identify {
	struct thread *thread;
	const struct python_layout *layout;
	__u32 now; /* as struct block's born */
	bool remembers;
};

/* Side by side in every version so far: one read costs half of two. */
static __always_inline void read_identity(struct code_identity *identity, __u64 code,
					  const struct python_layout *layout)
{
	__u64 words[2];

	if (layout->code_name == layout->code_filename + 8 &&
	    !bpf_probe_read_user(words, sizeof(words), (void *)(code + layout->code_filename))) {
		identity->filename = words[0];
		identity->name = words[1];
		return;
	}
	if (bpf_probe_read_user(&identity->filename, 8, (void *)(code + layout->code_filename)))
		identity->filename = 0;
	if (bpf_probe_read_user(&identity->name, 8, (void *)(code + layout->code_name)))
		identity->name = 0;
}

static long identify_step(__u64 step, struct identify *identify)
{
	struct raw_frame *frame = &identify->thread->frames[step & (PYLEAK_MAX_FRAMES - 1)];
	__u64 place = frame->code * 0x9e3779b97f4a7c15ULL >> 32;
	struct code_identity *known =
		&identify->thread->identities[place & (PYLEAK_IDENTITIES - 1)];

	if (!identify->remembers || known->code != frame->code ||
	    identify->now - known->read_at > IDENTITY_HOLDS) {
		read_identity(known, frame->code, identify->layout);
		known->code = frame->code;
		known->read_at = identify->now;
	}
	frame->filename = known->filename;
	frame->name = known->name;
	return 0;
}

/* Completes the frames of the event's stack. */
static __always_inline void identify_frames(struct event *event)
{
	struct identify identify = {
		.thread = event->thread,
		.layout = &event->target->layout,
		.now = event_born(event),
		/* Of a window that stays open the log is a ring. */
		.remembers = event->target->limited && !event->target->birth_ring[FAMILY_PYMALLOC],
	};

	bpf_loop(event->thread->walk_count, identify_step, &identify, 0);
}

#endif
