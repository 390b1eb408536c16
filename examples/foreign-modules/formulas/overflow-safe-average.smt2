; (x & y) + ((x ^ y) >> 1) is the average of two 16-bit numbers, rounded down, without the overflow of (x + y) >> 1:
; unsatisfiable, so it is so for all four billion pairs.
(set-logic QF_BV)
(declare-fun x () (_ BitVec 16))
(declare-fun y () (_ BitVec 16))
(define-fun wide () (_ BitVec 17) (bvlshr (bvadd ((_ zero_extend 1) x) ((_ zero_extend 1) y)) #b00000000000000001))
(define-fun short () (_ BitVec 16) (bvadd (bvand x y) (bvlshr (bvxor x y) #x0001)))
(assert (distinct short ((_ extract 15 0) wide)))
(check-sat)
(exit)
