;; Writes all over its memory: STEPS steps of WRITES writes each at random places of PAGES pages, by `step`, or all of them
;; by `_start`. Its output is the last random number.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") PAGES)
  (global $random (mut i64) (i64.const 88172645463325252))
  (global $done (mut i32) (i32.const 0))
  (func $step (export "step") (result i32)
    (local $left i32)
    (local.set $left (i32.const WRITES))
    (loop $more
      ;; xorshift64 (Marsaglia 2003)
      (global.set $random (i64.xor (global.get $random) (i64.shl (global.get $random) (i64.const 13))))
      (global.set $random (i64.xor (global.get $random) (i64.shr_u (global.get $random) (i64.const 7))))
      (global.set $random (i64.xor (global.get $random) (i64.shl (global.get $random) (i64.const 17))))
      (i64.store
        (i32.rem_u (i32.wrap_i64 (i64.shr_u (global.get $random) (i64.const 20))) (i32.const LAST))
        (global.get $random))
      (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (global.set $done (i32.add (global.get $done) (i32.const 1)))
    (if (i32.eq (global.get $done) (i32.const STEPS)) (then
      (i64.store (i32.const 16) (global.get $random))
      (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 8))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
    (i32.lt_u (global.get $done) (i32.const STEPS)))
  (func (export "_start") (loop $more (br_if $more (call $step)))))
