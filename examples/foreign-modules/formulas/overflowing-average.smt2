; (x + y) >> 1 is not the average: satisfiable, and the model shows a pair that overflows.
(set-logic QF_BV)
(declare-fun x () (_ BitVec 16))
(declare-fun y () (_ BitVec 16))
(define-fun wide () (_ BitVec 17) (bvlshr (bvadd ((_ zero_extend 1) x) ((_ zero_extend 1) y)) #b00000000000000001))
(assert (distinct (bvlshr (bvadd x y) #x0001) ((_ extract 15 0) wide)))
(check-sat)
(exit)
