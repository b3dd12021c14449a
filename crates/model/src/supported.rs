//! What this crate cannot compute yet is refused by name: the CPU engine knows more architectures than training does.

use strata_recipe::{ConfigError, Mark, ModelConfig, Network};

/// Checks that the model computes everything that the configuration asks for.
///
/// # Errors
/// The first key that it does not know, and where such models run.
pub fn check_supported(config: &ModelConfig) -> Result<(), ConfigError> {
    let Network { layer_norm, activation, embeddings, decoder, .. } = config.network;
    let usual = Network::default();
    let unusual = [
        ("network.layer_norm.place", layer_norm.place != usual.layer_norm.place),
        ("network.activation", activation != usual.activation),
        ("network.embeddings.tables", embeddings.tables != usual.embeddings.tables),
        ("network.embeddings.output_bias", embeddings.output_bias),
        ("network.decoder.mixer", decoder.mixer != usual.decoder.mixer),
        ("prompts.decoder", config.prompts.decoder.contains(&Mark::Zero)),
    ];
    match unusual.iter().find(|(_, unusual)| *unusual) {
        Some((key, _)) => Err(ConfigError {
            key,
            message: format!(
                "{key} of this model is not that of the models that are trained here; training and other devices than \
                 the CPU cannot compute it yet"
            ),
        }),
        None => Ok(()),
    }
}
