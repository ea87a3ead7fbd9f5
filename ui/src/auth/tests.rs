use super::*;

fn authorizer(tokens: &[(&str, Role)], http: &str) -> Authorizer {
    let mut config = Config::default();
    config.auth.tokens = tokens
        .iter()
        .map(|(token, role)| config::Token { name: format!("{role:?}"), role: *role, sha256: hash_token(token) })
        .collect();
    config.auth.allowed_hosts = vec!["Rootline.Example".to_owned()];
    config.listen.http = http.parse().unwrap();
    Authorizer::new(&config).unwrap()
}

fn headers(entries: &[(header::HeaderName, &str)]) -> HeaderMap {
    entries.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
}

#[test]
fn each_role_may_do_what_it_says_and_nothing_else() {
    let authorizer =
        authorizer(&[("i", Role::Ingest), ("v", Role::Viewer), ("e", Role::Editor), ("a", Role::Admin)], "127.0.0.1:0");
    let table = [
        ("i", [true, false, false, false]),
        ("v", [false, true, false, false]),
        ("e", [false, true, true, false]),
        ("a", [true, true, true, true]),
    ];
    for (token, allowed) in table {
        let headers = headers(&[(header::AUTHORIZATION, &format!("Bearer {token}"))]);
        let accesses = [Access::Ingest, Access::View, Access::Edit, Access::Administer];
        for (access, allowed) in accesses.into_iter().zip(allowed) {
            let answer = authorizer.authorize(&headers, access);
            assert_eq!(answer.is_ok(), allowed, "{token} {access:?}");
            assert!(allowed || answer == Err(Refusal::Forbidden));
        }
    }
    for wrong in ["Bearer x", "Bearer ", "Basic v", "v", "bearer"] {
        let headers = headers(&[(header::AUTHORIZATION, wrong)]);
        assert_eq!(authorizer.authorize(&headers, Access::View), Err(Refusal::Unauthenticated), "{wrong}");
    }
    assert_eq!(authorizer.authorize(&HeaderMap::new(), Access::View), Err(Refusal::Unauthenticated));
}

#[test]
fn without_tokens_everybody_here_may_do_everything() {
    let identity = authorizer(&[], "127.0.0.1:0").authorize(&HeaderMap::new(), Access::Administer).unwrap();
    assert_eq!(identity, Identity { token: None, role: Role::Admin });
}

#[test]
fn only_own_names_are_answered() {
    let loopback = authorizer(&[], "127.0.0.1:7070");
    let everywhere = authorizer(&[], "0.0.0.0:7070");
    let check = |authorizer: &Authorizer, host: &str| {
        authorizer.check_site(&Method::GET, &Uri::from_static("/"), &headers(&[(header::HOST, host)])).is_ok()
    };
    for own in
        ["localhost", "LOCALHOST:7070", "127.0.0.1:7070", "[::1]:7070", "[::1]", "rootline.example:7070", "a.localhost"]
    {
        assert!(check(&loopback, own), "{own}");
    }
    for other in ["evil.example", "10.0.0.7:7070", "localhost.evil.example", "127.0.0.1.evil.example", "evil:7070:1"] {
        assert!(!check(&loopback, other), "{other}");
    }
    assert!(check(&everywhere, "10.0.0.7:7070"));
    assert!(!check(&everywhere, "evil.example"));
    assert_eq!(loopback.check_site(&Method::GET, &Uri::from_static("/"), &HeaderMap::new()), Err(Refusal::Host));
}

#[test]
fn changes_come_from_our_own_pages_or_from_programs() {
    let authorizer = authorizer(&[], "127.0.0.1:7070");
    let check = |method: Method, origin: Option<&str>| {
        let mut entries = vec![(header::HOST, "localhost:7070")];
        entries.extend(origin.map(|origin| (header::ORIGIN, origin)));
        authorizer.check_site(&method, &Uri::from_static("/api/admin/flush"), &headers(&entries))
    };
    assert_eq!(check(Method::POST, None), Ok(()));
    assert_eq!(check(Method::POST, Some("http://localhost:7070")), Ok(()));
    for other in ["http://evil.example", "http://localhost:8080", "null", "localhost:7070"] {
        assert_eq!(check(Method::POST, Some(other)), Err(Refusal::Origin), "{other}");
        assert_eq!(check(Method::DELETE, Some(other)), Err(Refusal::Origin), "{other}");
    }
    assert_eq!(check(Method::GET, Some("http://evil.example")), Ok(()));
}

#[test]
fn a_hash_that_is_none_is_named() {
    let mut config = Config::default();
    config.auth.tokens = vec![config::Token { name: "ci".to_owned(), role: Role::Viewer, sha256: "secret".to_owned() }];
    let error = Authorizer::new(&config).unwrap_err().to_string();
    assert!(error.contains("\"ci\"") && !error.contains("secret"), "{error}");
}
