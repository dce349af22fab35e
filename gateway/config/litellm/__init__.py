"""Another gateway's configuration, LiteLLM's `config.yaml`, as one of ours.

    given      a mapping of theirs: what nobody takes from it is told
    reasons    why what is told has no place here
    hosts      who is meant by `azure/gpt-4o`: a provider's stanza
    costs      prices, windows and what a model can do
    entries    one entry of `model_list`: a deployment and its provider
    groups     entries of one name: a model
    chains     fallbacks and aliases
    settings   keys, Redis, timeouts, budgets
    paper      the YAML that is printed
    translate  all of it. Read this first

Values in, values out: nothing is read or called. Settings are those of LiteLLM's documentation
(docs.litellm.ai, proxy/config_settings).
"""
