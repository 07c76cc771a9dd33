//! Whether a claim was corrected or withdrawn, as far as other receipts of the same work show (docs/formats.md, Amendments).

use crate::{Answer, Claim, ClaimTold, Outcome, Receipt, Trust, verify};

impl Outcome {
    /// Takes other receipts into account: whether this claim, of this receipt, was corrected or withdrawn. They count
    /// where they verify under the same trust, and are of the same log and work.
    pub fn beside(
        mut self,
        receipt: &Receipt,
        others: &[Receipt],
        trust: Option<Trust>,
    ) -> Outcome {
        let Some(Trust { policy, .. }) = trust else { return self };
        // What the receipt that it was read from proves names the log; a refused one proves nothing.
        let Ok(verdict) = verify(&receipt.claim.work, receipt, policy) else { return self };
        if self.verdict != Answer::Verified {
            return self;
        }
        let mut later: Vec<(u64, &Claim)> = Vec::new();
        for other in others {
            match verify(&other.claim.work, other, policy) {
                Ok(told) if told.log.name() == verdict.log.name() => {
                    later.push((told.index, &other.claim));
                }
                _ => {}
            }
        }
        // An amendment stands behind what it amends.
        later.sort_by_key(|(index, _)| *index);
        let (mut at, mut claim) = (verdict.index, &receipt.claim);
        for (index, next) in later {
            if !next.amends(index, claim, at) {
                continue;
            }
            (at, claim) = (index, next);
            if claim.is_withdrawal() {
                self.withdrawn_by = Some(at);
                self.corrected_claim = None;
            } else {
                self.corrected_by = Some(at);
                self.corrected_claim = Some(ClaimTold::of(claim));
            }
        }
        self
    }
}
