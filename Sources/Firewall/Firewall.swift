// Placeholder until the layer below it stands.
