//! How strong a match is: a grade, and how often pictures that are no copies reach as much. How the numbers were
//! counted is written in docs/accuracy.md.

/// A grade of matches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Strength {
    /// In words.
    pub grade: &'static str,
    /// The least score of this grade.
    pub score_min: f64,
    /// Of `suspects` that are copies of no work, so many share with one of `works` what gives a score of this grade at
    /// least, whether that is asserted to be copying or only told as related.
    pub reached: u32,
    /// See `reached`.
    pub suspects: u32,
    /// See `reached`.
    pub works: u32,
}

impl Strength {
    /// The grade of a match with this score.
    pub fn of(score: f64) -> Strength {
        let reached = GRADES.into_iter().find(|grade| score >= grade.score_min);
        reached.unwrap_or(GRADES[GRADES.len() - 1])
    }

    /// The share of suspects that are no copies and reach this grade: an upper bound of how many are wrongly asserted
    /// to be copies with it.
    pub fn false_match_rate(&self) -> f64 {
        f64::from(self.reached) / f64::from(self.suspects)
    }

    /// The 95 % confidence interval of that share, by Wilson's score (Journal of the American Statistical Association 22,
    /// 1927).
    pub fn false_match_interval(&self) -> [f64; 2] {
        const Z: f64 = 1.96;
        let (share, count) = (self.false_match_rate(), f64::from(self.suspects));
        let over = 1.0 + Z * Z / count;
        let middle = (share + Z * Z / (2.0 * count)) / over;
        let variance = share * (1.0 - share) / count + Z * Z / (4.0 * count * count);
        let half = Z * variance.sqrt() / over;
        [(middle - half).max(0.0), middle + half]
    }
}

/// Strongest first; `benches/accuracy.py` counts anew and says where these are no longer true.
const GRADES: [Strength; 3] = [
    Strength { grade: "very strong", score_min: 0.9, reached: 0, suspects: 913, works: 105_000 },
    Strength { grade: "strong", score_min: 0.7, reached: 5, suspects: 913, works: 105_000 },
    Strength { grade: "moderate", score_min: 0.4, reached: 23, suspects: 913, works: 105_000 },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grades_fall_with_the_score_and_rates_rise() {
        let grades = [0.99, 0.8, 0.5, 0.0].map(|score| Strength::of(score).grade);
        assert_eq!(grades, ["very strong", "strong", "moderate", "moderate"]);
        assert!(GRADES.is_sorted_by(|a, b| a.score_min > b.score_min && a.reached <= b.reached));
    }

    #[test]
    fn intervals_are_wilsons() {
        let of =
            |reached, suspects| Strength { reached, suspects, ..GRADES[0] }.false_match_interval();
        let near =
            |[a, b]: [f64; 2], [c, d]: [f64; 2]| (a - c).abs() < 5e-5 && (b - d).abs() < 5e-5;
        assert!(near(of(0, 1000), [0.0, 0.0038]));
        assert!(near(of(10, 100), [0.0552, 0.1744]));
        assert!(near(of(22, 24), [0.7415, 0.9768]));
    }
}
