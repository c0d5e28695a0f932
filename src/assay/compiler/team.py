"""How the threads of one inference share its kernels out: claims and waits, as code for LLVM.

A kernel's loops are cut into shares, one per thread. Each thread runs its own, and once it has
waited ``PATIENCE`` turns in vain for another to begin, that one's as well: a thread that sleeps or
is not on a core holds nobody up, unless it is in the middle of a share. Steps of an inference are
numbered through, over all inferences of a loaded library. The memory of a team holds a number for
each share, uint64 and ``TEAM_STRIDE`` bytes apart: ``2 n - 1`` once the share of step n is claimed,
``2 n`` when it is done. Numbers only grow, so nothing is ever reset, and in the usual case a step
costs one atomic instruction on a cache line of the thread's own, and a look at the others'.
"""

from __future__ import annotations

TEAM_STRIDE = 128
"""Bytes: two cache lines, as CPUs like to fetch them in pairs."""

CLAIM = "assay_claim"
"""(team, step, own share, shares) -> a share to run, or -1 when all are done."""

FINISH = "assay_finish"
"""(team, step, share, own share, shares): mark a share as done, then ``CLAIM``."""

PATIENCE = 64
"""Turns, of about 20 ns on x86: longer than threads that are awake are apart at a step's start."""

SPIN = 1024
"""Turns before a thread that waits offers its core to others, each turn."""

_PAUSE = {
    "x86_64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "aarch64": ("declare void @llvm.aarch64.isb(i32)", "call void @llvm.aarch64.isb(i32 15)"),
}
"""By architecture: the instruction that a waiting loop is made of."""


def team_code(arch: str) -> str:
    """Return LLVM IR that defines ``CLAIM`` and ``FINISH`` for an architecture.

    TVM has LLVM copy them to wherever they are called. A call that must not be duplicated keeps
    the functions that they are copied to where they are.
    """
    declaration, pause = _PAUSE.get(arch, ("", ""))
    return f"""
declare i32 @sched_yield()
{declaration}

define internal ptr @assay_word(i64 %team, i32 %share) {{
  %wide = zext i32 %share to i64
  %offset = mul i64 %wide, {TEAM_STRIDE}
  %address = add i64 %team, %offset
  %word = inttoptr i64 %address to ptr
  ret ptr %word
}}

define internal i1 @assay_try(ptr %word, i64 %claimed) {{
  %old = load atomic i64, ptr %word acquire, align 8
  %open = icmp ult i64 %old, %claimed
  br i1 %open, label %claim, label %end
claim:
  %pair = cmpxchg ptr %word, i64 %old, i64 %claimed acq_rel acquire, align 8
  %won = extractvalue {{ i64, i1 }} %pair, 1
  br label %end
end:
  %result = phi i1 [ false, %0 ], [ %won, %claim ]
  ret i1 %result
}}

define internal i32 @{CLAIM}(i64 %team, i64 %step, i32 %own, i32 %shares) {{
entry:
  %done = shl i64 %step, 1
  %claimed = sub i64 %done, 1
  %sharing = icmp ult i32 %own, %shares
  br i1 %sharing, label %first, label %wait
first:
  %own_word = call ptr @assay_word(i64 %team, i32 %own)
  %own_won = call i1 @assay_try(ptr %own_word, i64 %claimed)
  br i1 %own_won, label %take_own, label %wait
take_own:
  ret i32 %own
wait:
  %turn = phi i32 [ 0, %entry ], [ 0, %first ], [ %next_turn, %again ]
  %patient = icmp ult i32 %turn, {PATIENCE}
  br label %look
look:
  %share = phi i32 [ 0, %wait ], [ %next_share, %next ]
  %left = phi i1 [ false, %wait ], [ %left_now, %next ]
  %word = call ptr @assay_word(i64 %team, i32 %share)
  %value = load atomic i64, ptr %word acquire, align 8
  %unfinished = icmp ult i64 %value, %done
  %left_now = or i1 %left, %unfinished
  %open = icmp ult i64 %value, %claimed
  %impatient = xor i1 %patient, true
  %try = and i1 %open, %impatient
  br i1 %try, label %help, label %next
help:
  %won = call i1 @assay_try(ptr %word, i64 %claimed)
  br i1 %won, label %take, label %next
take:
  ret i32 %share
next:
  %next_share = add i32 %share, 1
  %more = icmp ult i32 %next_share, %shares
  br i1 %more, label %look, label %looked
looked:
  br i1 %left_now, label %pause, label %complete
complete:
  ret i32 -1
pause:
  %next_turn = add i32 %turn, 1
  %spin = icmp ult i32 %next_turn, {SPIN}
  br i1 %spin, label %rest, label %yield
rest:
  {pause}
  br label %again
yield:
  %ignored = call i32 @sched_yield() noduplicate
  br label %again
again:
  br label %wait
}}

define internal i32 @{FINISH}(i64 %team, i64 %step, i32 %share, i32 %own, i32 %shares) {{
  %done = shl i64 %step, 1
  %word = call ptr @assay_word(i64 %team, i32 %share)
  store atomic i64 %done, ptr %word release, align 8
  %next = call i32 @{CLAIM}(i64 %team, i64 %step, i32 %own, i32 %shares)
  ret i32 %next
}}
"""
