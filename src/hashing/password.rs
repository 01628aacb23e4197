//! One password, hashed or held against a hash. Takes time and memory as its cost says; what a text that is verified may
//! cost is bounded before anything is allocated.

use argon2::password_hash::Error;
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version};

use crate::app::hash::{Hash, Hashed};
use crate::app::job::{JobError, JobErrorKind};
use crate::base::limit::{
    HASH_LANES, HASH_LANES_MAX, HASH_MEMORY_KIB, HASH_MEMORY_KIB_MAX, HASH_PASSES, HASH_PASSES_MAX,
    HASH_PASSWORD_BYTES_MAX, HASH_PHC_BYTES_MAX,
};

/// What a new hash costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub memory_kib: u32,
    pub passes: u32,
    pub lanes: u32,
}

impl Cost {
    /// The daemon's.
    pub(crate) const FULL: Cost = Cost { memory_kib: HASH_MEMORY_KIB, passes: HASH_PASSES, lanes: HASH_LANES };
    /// The least there is, for tests of what is built on it.
    #[cfg(test)]
    pub(crate) const LEAST: Cost = Cost { memory_kib: Params::MIN_M_COST, passes: 1, lanes: 1 };
}

/// Carries it out.
///
/// # Errors
/// `Invalid` for a password that is too long or a text that is no hash we would verify; the text of the error tells neither.
pub(crate) fn work(hash: &Hash, cost: Cost, salt: &[u8; 16]) -> Result<Hashed, JobError> {
    match hash {
        Hash::Make { password } => made(bounded(password.expose())?, cost, salt).map(Hashed::Made),
        Hash::Verify { password, phc: Some(phc) } => {
            verified(bounded(password.expose())?, &judged(phc)?).map(Hashed::Verified)
        }
        Hash::Verify { password, phc: None } => {
            made(bounded(password.expose())?, cost, salt).map(|_| Hashed::Verified(false))
        }
    }
}

fn made(password: &[u8], cost: Cost, salt: &[u8; 16]) -> Result<String, JobError> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None).expect("our own cost is one of argon2");
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = argon.hash_password_with_salt(password, salt).map_err(|error| invalid(&error))?;
    Ok(hash.to_string())
}

fn verified(password: &[u8], hash: &PasswordHash) -> Result<bool, JobError> {
    match Argon2::default().verify_password(password, hash) {
        Ok(()) => Ok(true),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(invalid(&error)),
    }
}

/// A text is believed only as far as the daemon can afford: it may come from somebody's import.
fn judged(phc: &str) -> Result<PasswordHash, JobError> {
    if phc.len() > HASH_PHC_BYTES_MAX {
        return Err(JobError::new(JobErrorKind::Invalid, "the hash is too long"));
    }
    let hash = PasswordHash::new(phc).map_err(|error| invalid(&error))?;
    let params = Params::try_from(&hash).map_err(|error| invalid(&error))?;
    let affordable = params.m_cost() <= HASH_MEMORY_KIB_MAX
        && params.t_cost() <= HASH_PASSES_MAX
        && params.p_cost() <= HASH_LANES_MAX;
    match (affordable, hash.salt, hash.hash) {
        (false, ..) => Err(JobError::new(JobErrorKind::Invalid, "the hash asks for more than we give one")),
        (true, Some(_), Some(_)) => Ok(hash),
        (true, ..) => Err(JobError::new(JobErrorKind::Invalid, "the hash has no salt or no end")),
    }
}

fn bounded(password: &str) -> Result<&[u8], JobError> {
    match password.len() {
        0..=HASH_PASSWORD_BYTES_MAX => Ok(password.as_bytes()),
        _ => Err(JobError::new(JobErrorKind::Invalid, "the password is too long")),
    }
}

fn invalid(error: &dyn std::fmt::Display) -> JobError {
    JobError::new(JobErrorKind::Invalid, format!("no hash of a password: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;

    const SALT: &[u8; 16] = b"0123456789abcdef";

    fn make(password: &str) -> Result<Hashed, JobError> {
        work(&Hash::Make { password: Secret::new(password) }, Cost::LEAST, SALT)
    }

    fn verify(password: &str, phc: &str) -> Result<Hashed, JobError> {
        let phc = Some(phc.to_owned());
        work(&Hash::Verify { password: Secret::new(password), phc }, Cost::LEAST, SALT)
    }

    #[test]
    fn a_password_matches_its_own_hash_and_nobodys() {
        for password in ["", "correct horse", "contraseña\0 ñ", &"x".repeat(HASH_PASSWORD_BYTES_MAX)] {
            let Ok(Hashed::Made(phc)) = make(password) else { panic!("{password:?}") };
            assert!(phc.starts_with("$argon2id$v=19$m=8,t=1,p=1$") && phc.len() <= HASH_PHC_BYTES_MAX, "{phc}");
            assert_eq!(verify(password, &phc), Ok(Hashed::Verified(true)));
            assert_eq!(verify(&format!("{}y", &password[password.len() / 2..]), &phc), Ok(Hashed::Verified(false)));
            let nobody = Hash::Verify { password: Secret::new(password), phc: None };
            assert_eq!(work(&nobody, Cost::LEAST, SALT), Ok(Hashed::Verified(false)));
        }
    }

    #[test]
    fn the_daemons_own_cost_is_within_what_it_verifies() {
        let made = work(&Hash::Make { password: Secret::new("x") }, Cost::FULL, SALT);
        let Ok(Hashed::Made(phc)) = made else { panic!("{made:?}") };
        assert_eq!(verify("x", &phc), Ok(Hashed::Verified(true)), "{phc}");
    }

    #[test]
    fn a_hash_of_another_kind_version_and_cost_is_verified() {
        let others = [(Algorithm::Argon2i, Version::V0x10), (Algorithm::Argon2d, Version::V0x13)];
        for (algorithm, version) in others {
            let argon = Argon2::new(algorithm, version, Params::new(64, 3, 2, None).unwrap());
            let hash: PasswordHash = argon.hash_password_with_salt(b"password", SALT).unwrap();
            assert_eq!(verify("password", &hash.to_string()), Ok(Hashed::Verified(true)), "{algorithm:?}");
        }
    }

    #[test]
    fn what_is_no_hash_or_costs_too_much_is_invalid_at_once() {
        let Ok(Hashed::Made(phc)) = make("x") else { panic!() };
        let with = |params: &str| phc.replace("m=8,t=1,p=1", params);
        for text in [
            "".to_owned(),
            "garbage".to_owned(),
            "$2b$12$EXRkfkdmXn2gzds2SSitu.MW9.gAVqa9eLS1//RYtYCmB1eLHg.9q".to_owned(),
            "$argon2id$v=19$m=8,t=1,p=1".to_owned(),
            "$argon2id$v=19$m=8,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg".to_owned(),
            phc.replace("argon2id", "scrypt"),
            phc.replace("v=19", "v=18"),
            with("m=4194304,t=1,p=1"),
            with("m=4294967295,t=1,p=1"),
            with("m=8,t=4294967295,p=1"),
            with("m=4096,t=1,p=255"),
            with(&format!("m={},t=1,p=1", HASH_MEMORY_KIB_MAX + 1)),
            with("m=1,t=1,p=1"),
            with("m=-1,t=1,p=1"),
            format!("{phc}{}", "x".repeat(HASH_PHC_BYTES_MAX)),
            format!("{phc}\0"),
        ] {
            let came = verify("x", &text);
            assert!(matches!(&came, Err(error) if error.kind == JobErrorKind::Invalid), "{text}: {came:?}");
        }
    }

    #[test]
    fn an_overlong_password_is_invalid_and_in_no_text() {
        let long = "s3cret".repeat(HASH_PASSWORD_BYTES_MAX);
        for came in [make(&long), verify(&long, "$argon2id$"), verify("s3cret", "s3cret")] {
            let error = came.unwrap_err();
            assert!(error.kind == JobErrorKind::Invalid && !error.text.contains("s3cret"), "{error:?}");
        }
        let hash = Hash::Make { password: Secret::new("s3cret") };
        assert!(!format!("{hash:?}").contains("s3cret"), "{hash:?}");
    }
}
