;; A WASI command that fills a block with pseudo-random bytes and writes it to /out/part-0, part-1, … part-(PARTS-1).
;; Memory: an iovec at 0, a result at 8, a descriptor at 12, the name from 64, the block from 65536.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (memory (export "memory") PAGES)
  (data (i32.const 64) "part-")
  (func $fill (local $at i32) (local $state i64)
    (local.set $at (i32.const 65536))
    (local.set $state (i64.const 88172645463325252))
    (loop $again
      ;; xorshift64: Marsaglia, Xorshift RNGs, Journal of Statistical Software 8 (2003)
      (local.set $state (i64.xor (local.get $state) (i64.shl (local.get $state) (i64.const 13))))
      (local.set $state (i64.xor (local.get $state) (i64.shr_u (local.get $state) (i64.const 7))))
      (local.set $state (i64.xor (local.get $state) (i64.shl (local.get $state) (i64.const 17))))
      (i64.store (local.get $at) (local.get $state))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $again (i32.lt_u (local.get $at) (i32.const END)))))
  ;; the number as decimal digits behind "part-": returns the name's length
  (func $name (param $number i32) (result i32) (local $length i32) (local $rest i32)
    (local.set $length (i32.const 5))
    (local.set $rest (local.get $number))
    (loop $count
      (local.set $length (i32.add (local.get $length) (i32.const 1)))
      (local.set $rest (i32.div_u (local.get $rest) (i32.const 10)))
      (br_if $count (local.get $rest)))
    (local.set $rest (i32.add (i32.const 63) (local.get $length)))
    (loop $digit
      (i32.store8 (local.get $rest) (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
      (local.set $number (i32.div_u (local.get $number) (i32.const 10)))
      (local.set $rest (i32.sub (local.get $rest) (i32.const 1)))
      (br_if $digit (i32.gt_u (local.get $rest) (i32.const 68))))
    (local.get $length))
  (func (export "_start") (local $number i32)
    (call $fill)
    (loop $again
      ;; rights: fd_write; flags: create, truncate
      (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 64) (call $name (local.get $number)) (i32.const 9)
            (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 12)) (then unreachable))
      (i32.store (i32.const 0) (i32.const 65536))
      (i32.store (i32.const 4) (i32.const BLOCK))
      (if (call $fd_write (i32.load (i32.const 12)) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
      (if (i32.ne (i32.load (i32.const 8)) (i32.const BLOCK)) (then unreachable))
      (drop (call $fd_close (i32.load (i32.const 12))))
      (local.set $number (i32.add (local.get $number) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $number) (i32.const PARTS))))))
