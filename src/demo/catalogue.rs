//! Who is in the shop: 47 services, what each of them does, whom it calls, what it stores and what it writes to its log.
//!
//! Plain data: the shop in health. What faults do to it for a while is told by `fault`.
//!
//! A call that its caller needs fails about once in 100,000 times by its own fault, so that an objective of 99.9 % holds
//! behind twenty of them. What callers can do without, what runs behind a queue, and what has no objective, fails some
//! hundred times as often.

/// Runtime of a service: decides SDK attributes, exception types and the look of stack traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Cpp,
    Dotnet,
    Go,
    Java,
    Nodejs,
    Php,
    Python,
    Ruby,
    Rust,
}

/// Where a service mainly runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Cloud {
    Aws,
    Azure,
    Gcp,
}

/// How an operation is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    /// Method of an HTTP route; the operation's name is the route.
    Http(&'static str),
    /// Method of the gRPC service `shop.<Service>`.
    Rpc,
    /// Message of the topic that names the operation.
    Message,
    /// Timer inside the service.
    Timer,
}

/// One thing an operation does after another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Calls `operation` of `service` with this probability; its failure fails the caller.
    Call { service: &'static str, operation: &'static str, chance: f64 },
    /// The same, but the caller has a fallback.
    Try { service: &'static str, operation: &'static str, chance: f64 },
    /// All of these at once.
    Together(&'static [Self]),
    /// A request to somebody outside, who sends no telemetry.
    Peer { host: &'static str, method: &'static str, path: &'static str, median_ms: f64 },
    /// A statement on one of [`STORES`].
    Query { store: &'static str, verb: &'static str, table: &'static str, median_ms: f64 },
    /// A message to every consumer of the topic.
    Publish(&'static str),
}

/// What a service offers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub(super) trigger: Trigger,
    pub(super) name: &'static str,
    /// Median of the time spent in the service itself.
    pub(super) own_ms: f64,
    /// Share of calls that fail in the service itself.
    pub(super) error_ratio: f64,
    /// Traces that begin here, relative to other operations; 0: only called by others.
    pub(super) weight: f64,
    pub(super) steps: &'static [Step],
}

/// One service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) language: Language,
    pub(super) home: Cloud,
    pub(super) replicas: usize,
    pub(super) version: &'static str,
    pub(super) operations: &'static [Operation],
    /// Lines of its log at info (first) and debug or warn, with `{placeholders}`.
    pub(super) lines: &'static [&'static str],
}

/// A database, cache or index outside of the cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Store {
    pub(super) name: &'static str,
    pub(super) system: &'static str,
    pub(super) address: &'static str,
    pub(super) port: i64,
}

/// Share of failures that nobody notices in an hour.
const RARELY: f64 = 0.000_01;

const fn http(
    method: &'static str,
    route: &'static str,
    own_ms: f64,
    weight: f64,
    steps: &'static [Step],
) -> Operation {
    Operation { trigger: Trigger::Http(method), name: route, own_ms, error_ratio: RARELY, weight, steps }
}

const fn rpc(method: &'static str, own_ms: f64, steps: &'static [Step]) -> Operation {
    Operation { trigger: Trigger::Rpc, name: method, own_ms, error_ratio: RARELY, weight: 0.0, steps }
}

const fn message(topic: &'static str, own_ms: f64, steps: &'static [Step]) -> Operation {
    Operation { trigger: Trigger::Message, name: topic, own_ms, error_ratio: 0.006, weight: 0.0, steps }
}

const fn timer(name: &'static str, own_ms: f64, weight: f64, steps: &'static [Step]) -> Operation {
    Operation { trigger: Trigger::Timer, name, own_ms, error_ratio: 0.01, weight, steps }
}

impl Operation {
    const fn failing(mut self, error_ratio: f64) -> Self {
        self.error_ratio = error_ratio;
        self
    }
}

const fn call(service: &'static str, operation: &'static str) -> Step {
    Step::Call { service, operation, chance: 1.0 }
}

const fn call_at(chance: f64, service: &'static str, operation: &'static str) -> Step {
    Step::Call { service, operation, chance }
}

const fn maybe(chance: f64, service: &'static str, operation: &'static str) -> Step {
    Step::Try { service, operation, chance }
}

const fn peer(host: &'static str, method: &'static str, path: &'static str, median_ms: f64) -> Step {
    Step::Peer { host, method, path, median_ms }
}

const fn query(store: &'static str, verb: &'static str, table: &'static str, median_ms: f64) -> Step {
    Step::Query { store, verb, table, median_ms }
}

const fn store(name: &'static str, system: &'static str, address: &'static str, port: i64) -> Store {
    Store { name, system, address, port }
}

const ACQUIRER: &str = "api.acquirer.example.net";
const CARRIER: &str = "gateway.carrier.example.net";
const MAIL: &str = "smtp-relay.example.net";
const SMS: &str = "sms.carrier.example.net";

/// Databases, caches and indexes.
pub(super) const STORES: &[Store] = &[
    store("identity-db", "postgresql", "identity.c7x1.eu-west-1.rds.amazonaws.com", 5432),
    store("profile-db", "postgresql", "profiles.c7x1.eu-west-1.rds.amazonaws.com", 5432),
    store("order-db", "postgresql", "orders.c7x1.eu-west-1.rds.amazonaws.com", 5432),
    store("ledger-db", "postgresql", "ledger.c7x1.eu-west-1.rds.amazonaws.com", 5432),
    store("inventory-db", "mysql", "inventory.mysql.database.azure.com", 3306),
    store("warehouse-db", "mysql", "warehouse.mysql.database.azure.com", 3306),
    store("promotion-db", "postgresql", "10.40.8.12", 5432),
    store("catalog-mongo", "mongodb", "catalog-0.mongo.us-central1.internal", 27017),
    store("review-mongo", "mongodb", "reviews-0.mongo.us-central1.internal", 27017),
    store("search-index", "opensearch", "search.eu-west-1.es.amazonaws.com", 9200),
    store("session-cache", "redis", "sessions.k9d.euw1.cache.amazonaws.com", 6379),
    store("cart-cache", "redis", "carts.redis.cache.windows.net", 6380),
    store("feature-cache", "redis", "10.40.3.7", 6379),
    store("suggest-cache", "redis", "10.40.3.9", 6379),
];

/// All services. Calls lead to services that are reached later only, so that every trace ends.
pub(super) const SERVICES: &[Service] = &[
    Service {
        name: "web-gateway",
        language: Language::Nodejs,
        home: Cloud::Aws,
        replicas: 4,
        version: "3.14.2",
        operations: &[
            http("GET", "/", 1.2, 16.0, &[call("session", "Validate"), call("web-storefront", "/home")]),
            http(
                "GET",
                "/products/{id}",
                1.1,
                24.0,
                &[call("session", "Validate"), call("web-storefront", "/product/{id}")],
            ),
            http("GET", "/search", 1.0, 14.0, &[call("session", "Validate"), call("search", "/search/v2/query")]),
            http("POST", "/cart/items", 1.3, 9.0, &[call("session", "Validate"), call("cart", "AddItem")]),
            http("POST", "/checkout", 1.8, 6.0, &[call("session", "Validate"), call("checkout", "PlaceOrder")]),
            http("GET", "/orders/{id}", 1.0, 5.0, &[call("session", "Validate"), call("order", "/orders/{id}")])
                .failing(0.01),
            http("POST", "/login", 1.4, 4.0, &[call("identity", "/oauth/token")]).failing(0.02),
            http("POST", "/returns", 1.1, 0.8, &[call("session", "Validate"), call("returns", "/returns")])
                .failing(0.01),
        ],
        lines: &[
            "{ip} - {user} \"{operation}\" {status} {bytes} \"https://shop.example.com/?ref={hex}\" \"Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0\" {ms}",
            "upstream keep-alive pool grown to {small} sockets",
        ],
    },
    Service {
        name: "mobile-gateway",
        language: Language::Go,
        home: Cloud::Gcp,
        replicas: 3,
        version: "1.28.0",
        operations: &[
            http("GET", "/m/home", 0.7, 13.0, &[call("session", "Validate"), call("mobile-bff", "/screens/home")]),
            http(
                "GET",
                "/m/products/{id}",
                0.7,
                15.0,
                &[call("session", "Validate"), call("mobile-bff", "/screens/product")],
            ),
            http("GET", "/m/suggest", 0.5, 10.0, &[call("search-suggest", "Complete")]).failing(0.01),
            http("POST", "/m/checkout", 0.9, 4.0, &[call("session", "Validate"), call("checkout", "PlaceOrder")]),
            http("POST", "/m/devices", 0.6, 1.5, &[call("user-profile", "/profiles/{id}/devices")]).failing(0.02),
        ],
        lines: &[
            "request served method_path=\"{operation}\" status={status} duration_ms={ms} bytes={bytes} remote={ip} app=ios/8.{small}",
            "rate limiter refilled bucket={user} tokens={small}",
        ],
    },
    Service {
        name: "partner-gateway",
        language: Language::Go,
        home: Cloud::Azure,
        replicas: 2,
        version: "0.19.7",
        operations: &[
            http(
                "GET",
                "/partner/v1/stock",
                0.8,
                5.0,
                &[call("feature-flags", "Evaluate"), call("inventory", "GetStock")],
            ),
            http(
                "POST",
                "/partner/v1/orders",
                1.1,
                1.5,
                &[call("feature-flags", "Evaluate"), call("checkout", "PlaceOrder")],
            ),
            http("POST", "/partner/v1/prices", 0.9, 2.0, &[call("pricing", "Quote")]).failing(0.02),
        ],
        lines: &[
            "partner={partner} key={hex} \"{operation}\" {status} in {ms}ms",
            "signature verified with key id {hex} for partner={partner}",
        ],
    },
    Service {
        name: "web-storefront",
        language: Language::Nodejs,
        home: Cloud::Aws,
        replicas: 4,
        version: "7.3.1",
        operations: &[
            http(
                "GET",
                "/home",
                4.5,
                0.0,
                &[
                    maybe(1.0, "feature-flags", "Evaluate"),
                    Step::Together(&[
                        call("product-catalog", "ListFeatured"),
                        maybe(0.9, "recommendation", "ForUser"),
                        maybe(0.7, "ads", "Select"),
                        maybe(0.6, "promotions", "Active"),
                    ]),
                    maybe(0.5, "media", "/media/{id}"),
                ],
            ),
            http(
                "GET",
                "/product/{id}",
                5.0,
                0.0,
                &[
                    call("product-catalog", "GetProduct"),
                    Step::Together(&[
                        call("pricing", "Quote"),
                        call("inventory", "GetStock"),
                        maybe(0.8, "reviews", "/reviews"),
                        maybe(0.8, "recommendation", "Similar"),
                    ]),
                    maybe(0.6, "media", "/media/{id}"),
                ],
            ),
        ],
        lines: &[
            "rendered {operation} for {user} in {ms} ms (cache {hit})",
            "hydration payload of {bytes} bytes exceeds 64 KiB on {operation}",
        ],
    },
    Service {
        name: "mobile-bff",
        language: Language::Nodejs,
        home: Cloud::Gcp,
        replicas: 3,
        version: "5.9.0",
        operations: &[
            http(
                "GET",
                "/screens/home",
                3.2,
                0.0,
                &[
                    Step::Together(&[
                        call("product-catalog", "ListFeatured"),
                        maybe(0.9, "recommendation", "ForUser"),
                        maybe(0.4, "loyalty", "GetPoints"),
                    ]),
                    maybe(0.4, "media", "/media/{id}"),
                ],
            ),
            http(
                "GET",
                "/screens/product",
                3.0,
                0.0,
                &[
                    call("product-catalog", "GetProduct"),
                    Step::Together(&[
                        call("pricing", "Quote"),
                        call("inventory", "GetStock"),
                        maybe(0.5, "reviews", "/reviews"),
                    ]),
                ],
            ),
        ],
        lines: &[
            "screen {operation} composed from {small} widgets in {ms}ms user={user}",
            "widget timed out, falling back to placeholder widget=recommendations-{small}",
        ],
    },
    Service {
        name: "identity",
        language: Language::Java,
        home: Cloud::Aws,
        replicas: 3,
        version: "12.1.0",
        operations: &[
            http(
                "POST",
                "/oauth/token",
                22.0,
                0.0,
                &[
                    query("identity-db", "SELECT", "credentials", 2.4),
                    call("session", "Create"),
                    Step::Publish("identity.logins"),
                ],
            ),
            http("GET", "/users/{id}", 2.0, 0.0, &[query("identity-db", "SELECT", "users", 1.8)]),
        ],
        lines: &[
            "User {user} logged in from {ip} session={hex} mfa={hit}",
            "Password hash of {user} upgraded to argon2id",
            "Login refused for {user}: invalid credentials, attempt {small}",
        ],
    },
    Service {
        name: "session",
        language: Language::Go,
        home: Cloud::Aws,
        replicas: 3,
        version: "2.2.5",
        operations: &[
            rpc("Validate", 0.3, &[query("session-cache", "GET", "session", 0.5)]),
            rpc("Create", 0.4, &[query("session-cache", "SET", "session", 0.6)]),
        ],
        lines: &["session {hex} validated user={user} ttl={num}s", "session {hex} expired {small} minutes ago"],
    },
    Service {
        name: "user-profile",
        language: Language::Java,
        home: Cloud::Aws,
        replicas: 2,
        version: "4.0.8",
        operations: &[
            http("GET", "/profiles/{id}", 2.8, 0.0, &[query("profile-db", "SELECT", "profiles", 2.2)]),
            http("POST", "/profiles/{id}/devices", 3.0, 0.0, &[query("profile-db", "INSERT", "devices", 3.1)]),
        ],
        lines: &[
            "Loaded profile of {user} with {small} addresses in {ms} ms",
            "Merged duplicate address {hex} of {user}",
        ],
    },
    Service {
        name: "product-catalog",
        language: Language::Go,
        home: Cloud::Gcp,
        replicas: 4,
        version: "8.17.3",
        operations: &[
            rpc("GetProduct", 0.9, &[query("catalog-mongo", "find", "products", 2.1)]),
            rpc("ListFeatured", 1.6, &[query("catalog-mongo", "aggregate", "products", 4.8)]),
            rpc("BatchGet", 1.4, &[query("catalog-mongo", "find", "products", 3.4)]),
        ],
        lines: &["product SKU-{num} served revision={small} locale={locale}", "catalog cache evicted {num} entries"],
    },
    Service {
        name: "search",
        language: Language::Java,
        home: Cloud::Aws,
        replicas: 3,
        version: "6.4.1",
        operations: &[http(
            "GET",
            "/search/v2/query",
            5.5,
            0.0,
            &[
                query("search-index", "search", "products-v7", 14.0),
                Step::Together(&[maybe(0.9, "product-catalog", "BatchGet"), maybe(0.5, "ads", "Select")]),
            ],
        )],
        lines: &[
            "query \"{word}\" returned {num} hits in {ms} ms locale={locale}",
            "Slow query on products-v7: {ms} ms exceeds threshold 100 ms query={hex}",
            "搜索 \"{word}\" 命中 {num} 条,耗时 {ms} 毫秒",
        ],
    },
    Service {
        name: "search-suggest",
        language: Language::Rust,
        home: Cloud::Gcp,
        replicas: 2,
        version: "0.8.4",
        operations: &[rpc("Complete", 0.2, &[query("suggest-cache", "ZRANGE", "suggest", 0.4)])],
        lines: &["completed prefix={word} candidates={small} elapsed_us={num}"],
    },
    Service {
        name: "recommendation",
        language: Language::Python,
        home: Cloud::Gcp,
        replicas: 3,
        version: "2026.11.1",
        operations: &[
            rpc("ForUser", 9.0, &[call("feature-store", "GetFeatures"), maybe(0.6, "product-catalog", "BatchGet")])
                .failing(0.006),
            rpc("Similar", 6.5, &[call("feature-store", "GetFeatures")]).failing(0.006),
        ],
        lines: &[
            "ranked {num} candidates for {user} with model two-tower-{small} in {ms}ms",
            "model two-tower-{small} warmed up, {bytes} bytes of weights",
        ],
    },
    Service {
        name: "feature-store",
        language: Language::Python,
        home: Cloud::Gcp,
        replicas: 2,
        version: "1.5.0",
        operations: &[rpc("GetFeatures", 1.2, &[query("feature-cache", "MGET", "features", 0.8)])],
        lines: &[
            "served {small} feature groups for entity={user} freshness={num}s",
            "feature group clicks_{small}h is stale by {num}s",
        ],
    },
    Service {
        name: "ads",
        language: Language::Java,
        home: Cloud::Gcp,
        replicas: 2,
        version: "3.3.3",
        operations: &[rpc("Select", 2.4, &[]).failing(0.02)],
        lines: &[
            "Selected {small} creatives for segment {word}-{small}",
            "Campaign {num} has exhausted its budget of {money} EUR",
        ],
    },
    Service {
        name: "reviews",
        language: Language::Python,
        home: Cloud::Gcp,
        replicas: 2,
        version: "2.0.11",
        operations: &[http(
            "GET",
            "/reviews",
            3.5,
            0.0,
            &[query("review-mongo", "find", "reviews", 3.0), maybe(0.15, "user-profile", "/profiles/{id}")],
        )
        .failing(0.008)],
        lines: &[
            "GET /reviews?sku=SKU-{num} -> {status} ({ms} ms)",
            "review {uuid} held for moderation: score 0.{small}",
        ],
    },
    Service {
        name: "media",
        language: Language::Go,
        home: Cloud::Aws,
        replicas: 2,
        version: "1.11.2",
        operations: &[http("GET", "/media/{id}", 0.8, 0.0, &[maybe(0.3, "image-resizer", "/resize")])],
        lines: &["served object s3://shop-media/{hex}.avif bytes={bytes} cache={hit}"],
    },
    Service {
        name: "image-resizer",
        language: Language::Rust,
        home: Cloud::Aws,
        replicas: 2,
        version: "0.5.1",
        operations: &[http("POST", "/resize", 28.0, 0.0, &[])],
        lines: &["resized {hex}.jpg to {num}px in {ms}ms", "image {hex}.jpg has no colour profile, assuming sRGB"],
    },
    Service {
        name: "cart",
        language: Language::Dotnet,
        home: Cloud::Azure,
        replicas: 3,
        version: "5.1.4",
        operations: &[
            rpc(
                "AddItem",
                1.1,
                &[
                    call("product-catalog", "GetProduct"),
                    call("inventory", "GetStock"),
                    query("cart-cache", "HSET", "cart", 0.7),
                ],
            ),
            rpc("GetCart", 0.8, &[query("cart-cache", "HGETALL", "cart", 0.8)]),
            rpc("EmptyCart", 0.6, &[query("cart-cache", "DEL", "cart", 0.5)]),
        ],
        lines: &[
            "Cart {uuid} of {user} now holds {small} items worth {money} EUR",
            "Cache miss for key cart:{num}, loading from the store",
        ],
    },
    Service {
        name: "checkout",
        language: Language::Go,
        home: Cloud::Aws,
        replicas: 3,
        version: "9.2.0",
        operations: &[rpc(
            "PlaceOrder",
            3.0,
            &[
                call("cart", "GetCart"),
                Step::Together(&[call("pricing", "Quote"), call("shipping", "GetQuote"), call("tax", "Calculate")]),
                maybe(0.15, "gift-card", "Redeem"),
                call("inventory", "Reserve"),
                call("payment", "/payments"),
                call("order", "/orders"),
                maybe(1.0, "cart", "EmptyCart"),
            ],
        )],
        lines: &[
            "order {order} placed by {user}: {small} items, {money} EUR, paid with {card}",
            "retrying call to payment attempt {small}/5 after {ms}ms: connection reset by peer",
            "idempotency key {uuid} seen before, returning order {order}",
        ],
    },
    Service {
        name: "pricing",
        language: Language::Java,
        home: Cloud::Aws,
        replicas: 3,
        version: "10.0.2",
        operations: &[rpc("Quote", 1.5, &[maybe(0.8, "promotions", "Active"), call_at(0.4, "currency", "Convert")])],
        lines: &["Quoted {money} EUR for SKU-{num} rule={word}-{small}", "Price list revision {hex} loaded in {ms} ms"],
    },
    Service {
        name: "promotions",
        language: Language::Java,
        home: Cloud::Gcp,
        replicas: 2,
        version: "2.7.9",
        operations: &[rpc("Active", 0.9, &[query("promotion-db", "SELECT", "promotions", 1.3)])],
        lines: &[
            "{small} promotions active for segment {word}",
            "Promotion BLACK-WEEK-{small} starts in {num} minutes",
        ],
    },
    Service {
        name: "currency",
        language: Language::Cpp,
        home: Cloud::Gcp,
        replicas: 2,
        version: "1.0.19",
        operations: &[rpc("Convert", 0.1, &[])],
        lines: &["converted {money} EUR to {currency} at 1.{num}"],
    },
    Service {
        name: "shipping",
        language: Language::Rust,
        home: Cloud::Azure,
        replicas: 2,
        version: "3.6.0",
        operations: &[
            rpc(
                "GetQuote",
                0.8,
                &[call_at(0.9, "address-validation", "/validate"), maybe(0.5, "carrier-adapter", "/rates")],
            ),
            rpc("CreateLabel", 1.2, &[call("carrier-adapter", "/labels")]),
        ],
        lines: &[
            "quoted {money} EUR for {small} parcels to {country}",
            "carrier answered after {ms}ms, using cached rates",
        ],
    },
    Service {
        name: "tax",
        language: Language::Dotnet,
        home: Cloud::Azure,
        replicas: 2,
        version: "2.3.2",
        operations: &[rpc("Calculate", 1.9, &[maybe(0.3, "geo", "Locate")])],
        lines: &["Calculated {money} EUR VAT for {country}", "Tax table {country} revision {small} is {num} days old"],
    },
    Service {
        name: "gift-card",
        language: Language::Dotnet,
        home: Cloud::Azure,
        replicas: 2,
        version: "1.2.0",
        operations: &[rpc("Redeem", 1.4, &[call("ledger", "Post")])],
        lines: &["Redeemed {money} EUR from gift card ****{small}"],
    },
    Service {
        name: "inventory",
        language: Language::Java,
        home: Cloud::Azure,
        replicas: 4,
        version: "7.7.1",
        operations: &[
            rpc("GetStock", 1.0, &[query("inventory-db", "SELECT", "stock", 1.6)]),
            rpc(
                "Reserve",
                2.2,
                &[query("inventory-db", "SELECT", "stock", 1.9), query("inventory-db", "UPDATE", "reservations", 3.6)],
            ),
        ],
        lines: &[
            "Inventory updated sku=SKU-{num} delta=-{small} warehouse={word}",
            "Reservation {uuid} released after {small} minutes",
            "库存不足:商品 SKU-{num} 仅剩 {small} 件,仓库 {word}",
        ],
    },
    Service {
        name: "payment",
        language: Language::Java,
        home: Cloud::Aws,
        replicas: 3,
        version: "11.5.0",
        operations: &[
            http(
                "POST",
                "/payments",
                4.0,
                0.0,
                &[
                    call("fraud-detection", "Score"),
                    call("card-acquirer", "/authorizations"),
                    call("ledger", "Post"),
                    Step::Publish("payments.authorized"),
                ],
            ),
            http("POST", "/refunds", 3.5, 0.0, &[call("card-acquirer", "/refunds"), call("ledger", "Post")]),
        ],
        lines: &[
            "Payment {uuid} authorized amount={money} EUR gateway={word}",
            "Failed to process order {order}: payment declined by gateway {word} code={status}",
            "支付 {uuid} 已授权,金额 {money} 元",
        ],
    },
    Service {
        name: "fraud-detection",
        language: Language::Python,
        home: Cloud::Gcp,
        replicas: 2,
        version: "2026.10.4",
        operations: &[
            rpc("Score", 11.0, &[call("feature-store", "GetFeatures")]),
            message("identity.logins", 4.0, &[query("feature-cache", "INCR", "logins", 0.5)]),
        ],
        lines: &["scored {user} at 0.{num} with rules=v{small}", "device fingerprint {hex} seen with {small} accounts"],
    },
    Service {
        name: "card-acquirer",
        language: Language::Go,
        home: Cloud::Aws,
        replicas: 2,
        version: "4.4.4",
        operations: &[
            http("POST", "/authorizations", 4.0, 0.0, &[peer(ACQUIRER, "POST", "/v3/authorizations", 88.0)]),
            http("POST", "/refunds", 4.0, 0.0, &[peer(ACQUIRER, "POST", "/v3/refunds", 74.0)]).failing(0.008),
        ],
        lines: &[
            "acquirer answered approved=true rrn={num} in {ms}ms scheme={card}",
            "acquirer connection {small} renewed",
        ],
    },
    Service {
        name: "ledger",
        language: Language::Rust,
        home: Cloud::Aws,
        replicas: 3,
        version: "1.9.6",
        operations: &[
            rpc("Post", 0.6, &[query("ledger-db", "INSERT", "entries", 3.4)]),
            message("payments.authorized", 0.8, &[query("ledger-db", "UPDATE", "accounts", 3.0)]),
        ],
        lines: &["posted entry {uuid} debit={money} account={num}", "snapshot of {num} accounts written in {ms}ms"],
    },
    Service {
        name: "order",
        language: Language::Java,
        home: Cloud::Aws,
        replicas: 3,
        version: "14.0.1",
        operations: &[
            http(
                "POST",
                "/orders",
                3.6,
                0.0,
                &[
                    query("order-db", "INSERT", "orders", 4.2),
                    query("order-db", "INSERT", "order_items", 3.1),
                    Step::Publish("orders.placed"),
                ],
            ),
            http(
                "GET",
                "/orders/{id}",
                2.1,
                0.0,
                &[query("order-db", "SELECT", "orders", 2.6), maybe(0.4, "shipping", "GetQuote")],
            ),
        ],
        lines: &[
            "Order {order} state changed from PENDING to CONFIRMED",
            "Order {order} has {small} open items",
            "订单 {order} 已创建,客户 {user},金额 {money} 元",
        ],
    },
    Service {
        name: "returns",
        language: Language::Php,
        home: Cloud::Azure,
        replicas: 2,
        version: "1.4.7",
        operations: &[http(
            "POST",
            "/returns",
            7.0,
            0.0,
            &[call("order", "/orders/{id}"), call("payment", "/refunds"), call("shipping", "CreateLabel")],
        )],
        lines: &[
            "return of order {order} accepted, refund {money} EUR",
            "return window of order {order} ends in {small} days",
        ],
    },
    Service {
        name: "fulfillment",
        language: Language::Java,
        home: Cloud::Azure,
        replicas: 2,
        version: "6.2.2",
        operations: &[message(
            "orders.placed",
            6.0,
            &[call("warehouse", "Pick"), call("shipping", "CreateLabel"), Step::Publish("orders.shipped")],
        )],
        lines: &[
            "Shipment {uuid} for order {order} created with {small} parcels",
            "Order {order} waits for stock of SKU-{num}",
        ],
    },
    Service {
        name: "warehouse",
        language: Language::Java,
        home: Cloud::Azure,
        replicas: 2,
        version: "5.5.0",
        operations: &[rpc("Pick", 5.0, &[query("warehouse-db", "UPDATE", "bins", 4.4)])],
        lines: &[
            "仓库 {word} 拣货任务 {uuid} 完成,共 {small} 件,用时 {ms} 毫秒",
            "传送带 {small} 号温度偏高:{num} 毫开",
            "Pick list {uuid} printed at station {small}",
        ],
    },
    Service {
        name: "carrier-adapter",
        language: Language::Php,
        home: Cloud::Azure,
        replicas: 2,
        version: "2.8.1",
        operations: &[
            http("GET", "/rates", 5.0, 0.0, &[peer(CARRIER, "GET", "/rates", 40.0)]).failing(0.03),
            http("POST", "/labels", 6.0, 0.0, &[peer(CARRIER, "POST", "/labels", 54.0)]).failing(0.006),
        ],
        lines: &["carrier {word} answered HTTP {status} in {ms} ms", "carrier {word} deprecates API v{small}"],
    },
    Service {
        name: "address-validation",
        language: Language::Python,
        home: Cloud::Azure,
        replicas: 2,
        version: "0.31.0",
        operations: &[http("POST", "/validate", 4.0, 0.0, &[call("geo", "Locate")])],
        lines: &[
            "address validated country={country} confidence=0.{num}",
            "no street found for postal code {num} in {country}",
        ],
    },
    Service {
        name: "geo",
        language: Language::Go,
        home: Cloud::Gcp,
        replicas: 2,
        version: "1.3.8",
        operations: &[rpc("Locate", 0.7, &[])],
        lines: &["located {ip} in {country} accuracy_km={small}"],
    },
    Service {
        name: "loyalty",
        language: Language::Nodejs,
        home: Cloud::Gcp,
        replicas: 2,
        version: "2.1.1",
        operations: &[
            rpc("GetPoints", 1.0, &[query("feature-cache", "GET", "points", 0.5)]),
            message("orders.placed", 2.0, &[query("feature-cache", "INCRBY", "points", 0.6)]),
        ],
        lines: &["{user} has {num} points", "points of {user} expire in {small} days"],
    },
    Service {
        name: "billing",
        language: Language::Java,
        home: Cloud::Aws,
        replicas: 2,
        version: "8.8.0",
        operations: &[message("payments.authorized", 5.0, &[call("invoice", "/invoices")])],
        lines: &[
            "Billing run of order {order} finished in {ms} ms",
            "VAT id of {user} could not be verified, retry in {small} minutes",
        ],
    },
    Service {
        name: "invoice",
        language: Language::Dotnet,
        home: Cloud::Azure,
        replicas: 2,
        version: "3.0.5",
        operations: &[http("POST", "/invoices", 16.0, 0.0, &[maybe(1.0, "email", "/messages")])],
        lines: &[
            "Invoice INV-{num} over {money} EUR rendered to PDF ({bytes} bytes)",
            "Font DejaVu Sans has no glyph U+{hex}",
        ],
    },
    Service {
        name: "notification",
        language: Language::Nodejs,
        home: Cloud::Gcp,
        replicas: 2,
        version: "4.6.3",
        operations: &[message(
            "orders.shipped",
            2.4,
            &[Step::Together(&[maybe(0.9, "email", "/messages"), maybe(0.4, "sms", "/messages")])],
        )],
        lines: &["notified {user} about order {order} over {small} channels", "{user} has muted channel push-{small}"],
    },
    Service {
        name: "email",
        language: Language::Ruby,
        home: Cloud::Gcp,
        replicas: 2,
        version: "1.16.0",
        operations: &[http("POST", "/messages", 3.0, 0.0, &[peer(MAIL, "POST", "/send", 9.0)]).failing(0.004)],
        lines: &[
            "mail <{uuid}@mail.shop.example.com> accepted by mx{small}.example.com after {ms} ms",
            "bounce recorded for {user}: mailbox full",
        ],
    },
    Service {
        name: "sms",
        language: Language::Nodejs,
        home: Cloud::Gcp,
        replicas: 2,
        version: "0.9.9",
        operations: &[http("POST", "/messages", 2.0, 0.0, &[peer(SMS, "POST", "/submit", 27.0)]).failing(0.008)],
        lines: &["sms {uuid} handed to carrier, {small} segments", "短信 {uuid} 已发送"],
    },
    Service {
        name: "analytics-collector",
        language: Language::Go,
        home: Cloud::Gcp,
        replicas: 2,
        version: "1.7.0",
        operations: &[message("orders.placed", 0.6, &[]), message("identity.logins", 0.4, &[])],
        lines: &[
            "flushed {num} events to gs://shop-events/{hex}.parquet",
            "event schema v{small} has {num} unknown fields",
        ],
    },
    Service {
        name: "audit-log",
        language: Language::Rust,
        home: Cloud::Aws,
        replicas: 2,
        version: "0.3.3",
        operations: &[
            message("payments.authorized", 0.3, &[query("ledger-db", "INSERT", "audit", 2.2)]),
            message("identity.logins", 0.3, &[query("ledger-db", "INSERT", "audit", 2.2)]),
        ],
        lines: &["audit record {uuid} chained to {hex}"],
    },
    Service {
        name: "feature-flags",
        language: Language::Go,
        home: Cloud::Gcp,
        replicas: 2,
        version: "2.5.1",
        operations: &[rpc("Evaluate", 0.15, &[])],
        lines: &[
            "Evaluated feature flag {word}-rollout for account {num}: {hit}",
            "flag {word}-rollout raised to {small} percent",
        ],
    },
    Service {
        name: "scheduler",
        language: Language::Python,
        home: Cloud::Azure,
        replicas: 2,
        version: "1.1.2",
        operations: &[
            timer("refresh-prices", 30.0, 0.5, &[call("pricing", "Quote"), call("product-catalog", "BatchGet")]),
            timer("expire-reservations", 18.0, 0.5, &[call("inventory", "Reserve")]),
            timer(
                "rebuild-suggestions",
                40.0,
                0.3,
                &[call("product-catalog", "ListFeatured"), call("search-suggest", "Complete")],
            ),
        ],
        lines: &["Scheduled job finished: processed={num} failed={small} elapsed={ms}ms", "next run in {num} seconds"],
    },
];
