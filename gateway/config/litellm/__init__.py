"""Another gateway's configuration, LiteLLM's `config.yaml`, as one of ours.

    credentials  values that entries share
    given        a section of theirs: keys that nobody takes from it are reported
    reasons      why a reported setting has no place here
    retired      what providers took out of service
    prefixes     LiteLLM's names of providers
    hosts        the stanza of the provider that `azure/gpt-4o` means
    costs        prices, windows and what a model can do
    known        what the shipped catalog knows of a model beside that
    entries      one entry of `model_list`: a deployment and its provider
    groups       entries of one name: a model
    chains       fallbacks and aliases
    settings     keys, Redis, timeouts, budgets
    paper        the YAML that is printed
    translate    all of it. Read this first

Values in, values out: nothing is read or called. Settings are those of LiteLLM's documentation
(docs.litellm.ai, proxy/config_settings).
"""
