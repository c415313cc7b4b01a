//! Resources: what operations tell, read by address.

use operation::view::Wanted;
use operation::{ErrorKind, OpError, RawCall, Screen, Tell};
use rmcp::RoleServer;
use rmcp::model::{
    ErrorData, MetaObject, ReadResourceResult, Resource, ResourceContents, ResourceTemplate,
};
use rmcp::service::RequestContext;
use serde_json::{Value, json};

use super::{Outbox, Server};

/// The most resources that are listed; any can be read.
const LISTED_MAX: usize = 300;

/// The most copied files that are listed; any can be read.
const COPIED_MAX: usize = 100;

/// The most bytes of one resource.
const RESOURCE_MAX_BYTES: usize = 2 * 1024 * 1024;

/// What a copied file is taken for, if it is text.
const COPIED_TYPE: &str = "text/plain";

/// What is said beside the text.
const NOTES: &str = "hotcell/notes";

impl<H: Send + Sync + 'static> Server<H> {
    pub(super) fn templates(&self) -> Vec<ResourceTemplate> {
        let views = self.gallery.iter().flat_map(|gallery| gallery.views());
        let defined = views.map(|view| {
            ResourceTemplate::new(view.address, view.name)
                .with_description(view.about)
                .with_mime_type(view.media_type)
        });
        defined.chain(self.outbox.iter().map(Outbox::template)).collect()
    }

    /// What there is. A host may ask for it before anything else, so whatever is
    /// wrong is left for a tool to say.
    pub(super) async fn resources(&self, context: &RequestContext<RoleServer>) -> Vec<Resource> {
        let mut resources = Vec::new();
        for found in [self.copied().await, self.shown(context).await] {
            match found {
                Ok(found) => resources.extend(found),
                Err(error) => tracing::warn!(%error, "not everything can be listed"),
            }
        }
        resources
    }

    async fn shown(&self, context: &RequestContext<RoleServer>) -> Result<Vec<Resource>, OpError> {
        let Some(gallery) = &self.gallery else { return Ok(Vec::new()) };
        let listed = self.told(gallery.shelf_row, json!({}), context).await?.json();
        let shown = gallery.shown(&listed, LISTED_MAX).into_iter().map(|shown| {
            Resource::new(shown.address, shown.name)
                .with_description(shown.about)
                .with_mime_type(shown.media_type)
        });
        Ok(shown.collect())
    }

    async fn copied(&self) -> Result<Vec<Resource>, OpError> {
        let Some(outbox) = &self.outbox else { return Ok(Vec::new()) };
        let mut copied = (outbox.list)(self.host()?).await?;
        copied.truncate(COPIED_MAX);
        Ok(copied.into_iter().map(|copied| outbox.resource(copied)).collect())
    }

    pub(super) async fn resource(
        &self,
        address: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<ReadResourceResult, ErrorData> {
        let told = async {
            if let Some(outbox) = &self.outbox
                && let Some(name) = outbox.name(address)
            {
                let out = (outbox.read)(self.host()?, &name, RESOURCE_MAX_BYTES as u64).await?;
                return Ok((Screen { out, ..Screen::default() }, COPIED_TYPE));
            }
            let gallery = self.gallery.as_ref().ok_or_else(|| {
                OpError::plain(ErrorKind::NotFound, "this server has nothing to read")
            })?;
            let Wanted { row, request, media_type } = gallery.wanted(address)?;
            let mut screen = Screen::default();
            self.told(row, request, context).await?.present(&mut screen);
            if screen.out.len() > RESOURCE_MAX_BYTES {
                let message = format!("it is longer than {RESOURCE_MAX_BYTES} bytes");
                return Err(OpError::plain(ErrorKind::Exhausted, message)
                    .hinted("a tool reads it in parts"));
            }
            Ok((screen, media_type))
        };
        let (screen, media_type) = told.await.map_err(|error: OpError| {
            let message = self.catalog.spoken(&error.to_string());
            let data = serde_json::to_value(error.kind).ok().map(|code| json!({ "code": code }));
            match error.kind {
                ErrorKind::NotFound => ErrorData::resource_not_found(message, data),
                ErrorKind::InvalidRequest => ErrorData::invalid_params(message, data),
                _ => ErrorData::internal_error(message, data),
            }
        })?;
        let contents = match String::from_utf8(screen.out) {
            Ok(text) => ResourceContents::text(text, address).with_mime_type(media_type),
            Err(bytes) => {
                use base64::Engine as _;
                let text = base64::prelude::BASE64_STANDARD.encode(bytes.into_bytes());
                ResourceContents::blob(text, address).with_mime_type("application/octet-stream")
            }
        };
        let notes = String::from_utf8_lossy(&screen.err);
        let mut meta = MetaObject::default();
        meta.insert(NOTES.to_owned(), Value::from(notes.trim_end()));
        let contents = if notes.is_empty() { contents } else { contents.with_meta(meta) };
        Ok(ReadResourceResult::new(vec![contents]))
    }

    async fn told(
        &self,
        row: usize,
        request: Value,
        context: &RequestContext<RoleServer>,
    ) -> Result<Box<dyn Tell>, OpError> {
        let call = RawCall::quiet().with_cancel(context.ct.clone());
        (self.table[row].call)(self.host()?, request, call).await
    }
}
