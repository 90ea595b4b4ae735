//! Which page answers what.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};

use crate::Desk;
use crate::guard::{self, Shown};
use crate::layout::{CSS, JS, asset};
use crate::pages::{admin, audit, case, enrol, inbox, reports, sign_in};

/// How long a page may take.
const ANSWER: Duration = Duration::from_secs(60);
/// A message with a file of 50 MiB.
const MESSAGE_BYTES: usize = 51 << 20;

/// All pages.
pub fn router(desk: Arc<Desk>) -> Router {
    let guarded = Arc::clone(&desk);
    Router::new()
        .route("/", get(inbox::show))
        .route("/events", get(inbox::events))
        .route("/sign-in", get(sign_in::ask).post(sign_in::named))
        .route("/sign-in/passkey", post(sign_in::signed))
        .route("/sign-out", post(sign_in::out))
        .route("/cases/{id}", get(case::show))
        .route("/cases/{id}/step", post(case::step))
        .route("/cases/{id}/propose", get(case::propose).post(case::proposed))
        .route("/cases/{id}/approve", post(case::approve))
        .route("/cases/{id}/request", get(case::request).post(case::requested))
        .route(
            "/cases/{id}/message",
            post(case::message).layer(DefaultBodyLimit::max(MESSAGE_BYTES)),
        )
        .route("/cases/{id}/attachments/{attachment}", get(case::attachment))
        .route("/audit", get(audit::ledger))
        .route("/audit/reports", get(reports::show))
        .route("/audit/reports.csv", get(reports::export))
        .route("/admin", get(admin::show))
        .route("/admin/officers", post(admin::invite))
        .route("/admin/keys", post(admin::keys))
        .route("/admin/changes", post(admin::sign))
        .route("/setup/{token}", get(enrol::setup).post(enrol::founder))
        .route("/setup/{token}/key", post(enrol::founder_key))
        .route("/setup/{token}/sign", post(enrol::founder_signs))
        .route("/enrol/{token}", get(enrol::show))
        .route("/enrol/{token}/key", post(enrol::key))
        .route(
            &asset("console.css", CSS),
            get(|| async { kept("text/css; charset=utf-8", CSS) }),
        )
        .route(
            &asset("console.js", JS),
            get(|| async { kept("text/javascript; charset=utf-8", JS) }),
        )
        .fallback(|| async { Shown::new(StatusCode::NOT_FOUND, "CONS-008", "there is no such page") })
        .layer(DefaultBodyLimit::max(guard::FORM_BYTES))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(
            guarded,
            |State(desk): State<Arc<Desk>>, request, next| guard::every_request(desk, request, next),
        ))
        .with_state(desk)
}

fn kept(kind: &'static str, text: &'static str) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, forever);
    response
}

async fn in_time(request: axum::extract::Request, next: middleware::Next) -> Response {
    match tokio::time::timeout(ANSWER, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Shown::new(
            StatusCode::GATEWAY_TIMEOUT,
            "CONS-009",
            "this took too long: try again",
        )
        .into_response(),
    }
}
